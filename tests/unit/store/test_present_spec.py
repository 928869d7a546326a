"""Present spec of a sweep: settings hold over drivers that are started anew with the spec as it was submitted."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vae_search.spec.sweep_spec import SweepSpec, overridden, parse_spec
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.control.command_log import CommandLog, command
from vae_search.store.control.commands import CommandAction
from vae_search.store.control.present_spec import BegunSpec, begun_with, read_present_spec
from vae_search.store.leases.lease import acquire
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning
from vae_search.store.sweeps.sweep_record import SweepRecord, read_stored

SPEC = """
name: digits
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 32}}
budget: {trials: 40, epochs: 27, minutes: 60}
"""


@pytest.fixture
def spec(store: Store) -> SweepSpec:
    spec = parse_spec(SPEC, base=Path())
    record = SweepRecord(spec=spec, fingerprint="f", comparability_key="k", versions={}, incarnation="ours")
    beginning.create_or_check(store, record, text=SPEC)
    return spec


def drive(store: Store, asked: SweepSpec) -> BegunSpec:
    """A driver that begins, and dies."""
    began: list[BegunSpec] = []

    def begin() -> dict[str, object]:
        began.append(begun_with(store, read_stored(store, "digits"), asked))
        return began[0].to_record()

    acquire(store, "digits", begin=begin).release()
    return began[0]


def change(store: Store, **settings: object) -> None:
    named = {key.replace("__", "."): value for key, value in settings.items()}
    command(
        store,
        "digits",
        CommandAction.SET,
        incarnation="ours",
        actor=None,
        now=lambda: datetime.now(UTC),
        settings=named,
    )


def trials(store: Store) -> int:
    return read_present_spec(store, "digits").budget.trials


def test_what_was_set_holds_for_drivers_that_are_started_with_the_spec_as_it_was(store, spec):
    drive(store, spec)
    change(store, budget__trials=80, budget__minutes=None)

    for _ in range(3):  # each of them dies
        began = drive(store, spec)

    assert (began.spec.budget.trials, began.spec.budget.minutes) == (80, None)
    assert began.asked == spec
    assert trials(store) == 80


def test_what_is_set_before_any_driver_holds_as_well(store, spec):
    change(store, resources__concurrency=2)

    assert drive(store, spec).spec.resources.concurrency == 2


def test_whoever_starts_a_driver_with_another_value_of_the_key_has_the_last_word(store, spec):
    drive(store, spec)
    change(store, budget__trials=80, resources__concurrency=2)

    began = drive(store, overridden(spec, ["budget.trials=50"]))

    assert (began.spec.budget.trials, began.spec.resources.concurrency) == (50, 2)
    assert trials(store) == 50
    change(store, budget__trials=60)
    assert trials(store) == 60
    assert drive(store, overridden(spec, ["budget.trials=50"])).spec.budget.trials == 60


def test_a_budget_counts_no_fewer_trials_than_have_begun(store, spec):
    drive(store, spec)
    store.create(SweepPaths("digits").suggestion("000011"), to_json_bytes({"trial": 11}))
    change(store, budget__trials=10)

    assert trials(store) == 12
    assert drive(store, spec).spec.budget.trials == 12


def test_leases_of_versions_without_commands_are_read(store, spec):
    grown = overridden(spec, ["budget.trials=48"])
    acquire(store, "digits", begin=lambda: {"spec": grown.to_json()}).release()

    assert trials(store) == 48
    assert drive(store, grown).commands == 0
    assert CommandLog(store, "digits", incarnation="ours").commands() == ()
