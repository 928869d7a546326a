"""Status of a sweep whose best seed goes on: it has not finished before that has ended, or cannot begin any more."""

from dataclasses import replace

import pytest

from tests.support.candidates import bounds, candidate, finalist_row, put_finalist, put_sweep
from tests.support.rows import epoch_rows, trial_row
from vae_search.errors import CorruptStore
from vae_search.registry.promotion.continuation.continued import Continued
from vae_search.search.planning.confirm_length import ConfirmLength
from vae_search.services.sweep_status import SweepStatus, status
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.control.confirm_decisions import confirm_decision
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

PLANNED = (
    "budget={trials: 1, epochs: 27, minutes: 1}",
    "confirm={finalists: 1, seeds: 3, epochs: auto}",
    "lr_schedule=wsd",
)
DECISION = {"epochs": 27, "turn_epochs": {"2": 13}}
GOES_ON = {"branch_epoch": 22, "threads": 2}
STAGE = {"trial": 0, "confirm_seed": 1, "from_epoch": 22, "threads": 2, "until": 26, "decay_epochs": 0}


@pytest.fixture
def confirmed(store: Store) -> Store:
    """The only trial of a planned sweep is confirmed by all of its seeds."""
    put_sweep(store, candidate(), overrides=PLANNED)
    own = {name: getattr(sweep_record.read_stored(store, "digits"), name) for name in ("incarnation",)}
    own["spec_sha256"] = sweep_record.read(store, "digits").spec.sha256
    Ledger(store, "digits").commit(trial_row(0, **own), epoch_rows(0))
    return store


def decide(store: Store, *, stage: int | None = None, **record: object) -> None:
    incarnation = sweep_record.read_stored(store, "digits").incarnation
    store.create(SweepPaths("digits").confirm_length(incarnation, stage=stage), to_json_bytes(record))


def after_the_minutes(found: SweepStatus) -> SweepStatus:
    return replace(found, driver_s=61.0)


def test_a_sweep_whose_seeds_have_all_the_time_has_finished_with_them(confirmed):
    decide(confirmed, **DECISION)

    assert status(confirmed, "digits").finished


def test_between_the_last_seed_and_its_first_stage_a_sweep_has_not_finished(confirmed):
    decide(confirmed, **DECISION, **GOES_ON)

    found = status(confirmed, "digits")

    assert (found.finished, found.state) == (False, "interrupted")
    assert after_the_minutes(found).finished  # nothing begins to go on then
    assert replace(found, is_exhausted=True).finished  # its last driver found too little time for it


def test_what_has_begun_to_go_on_is_waited_for_whatever_the_clock_says(confirmed):
    decide(confirmed, **DECISION, **GOES_ON)
    decide(confirmed, stage=1, **STAGE)
    begun = status(confirmed, "digits")
    row = finalist_row(0, 1, epochs=60)
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    went_on = ConfirmRow(**fields | {"confirm_seed": -1, "continues_epoch": 22, "threads": 2})
    put_finalist(confirmed, replace(candidate(), continued=Continued(row=went_on, bounds=bounds(230.0, seed=7))))

    assert not after_the_minutes(begun).finished
    assert status(confirmed, "digits").finished


def test_a_decision_is_read_alike_by_those_who_show_it_and_by_the_driver(confirmed):
    decide(confirmed, **DECISION, **GOES_ON)
    incarnation = sweep_record.read_stored(confirmed, "digits").incarnation
    spec = sweep_record.read(confirmed, "digits").spec

    shown = confirm_decision(confirmed, "digits", incarnation=incarnation)
    driven = ConfirmLength(spec, confirmed, plan=None, incarnation=incarnation)

    assert (shown.epochs, shown.turn_epochs) == (driven.epochs, driven.turn_epochs) == (27, {2: 13})
    assert (shown.branch_epoch, shown.threads) == (driven.branch_epoch, driven.threads) == (22, 2)


@pytest.mark.parametrize("damage", [{"epochs": None}, {"turn_epochs": [1]}, {"branch_epoch": 22}])
def test_a_damaged_decision_is_told_and_not_taken_for_an_open_one(confirmed, damage):
    decide(confirmed, **DECISION | damage)

    with pytest.raises(CorruptStore, match="must hold the epochs of confirm runs"):
        status(confirmed, "digits")
