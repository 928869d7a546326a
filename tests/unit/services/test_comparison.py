"""`compare`: what may stand beside each other, in which unit."""

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.candidates import finalist_row
from tests.support.command_line import vae_search
from tests.support.rows import epoch_rows, trial_row
from tests.support.stores import KEY, SPEC
from vae_search.data.comparability import comparability_key, pixels_key
from vae_search.data.dataset import load_dataset
from vae_search.errors import Conflict, InvalidSpec, NotFound
from vae_search.services.comparison import compare
from vae_search.spec.sections import DataSpec
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.sweeps import beginning, sweep_record

PIXELS = "p" * 64
VALUES = 64  # of an image


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def put_sweep(
    store: LocalStore,
    name: str,
    neg_elbo: float,
    *,
    key: str = KEY,
    pixels: str | None = None,
    likelihood: str = "bernoulli",
    iwae: tuple[float, ...] = (),
) -> None:
    binarize = "dynamic" if likelihood == "bernoulli" else "none"
    text = SPEC.replace("digits", name).replace("./images", f"./images, binarize: {binarize}")
    spec = parse_spec(f"{text}likelihood: {likelihood}\n", base=Path())
    record = sweep_record.SweepRecord(
        spec=spec, fingerprint="f" * 64, comparability_key=key, versions={}, pixels_key=pixels
    )
    beginning.create_or_check(store, record, text=text)
    ledger = Ledger(store, name)
    for trial, value in enumerate((neg_elbo + 5.0, neg_elbo)):
        row = trial_row(
            trial,
            sweep=name,
            neg_elbo=value,
            objective=value,
            bits_per_dim=value / (VALUES * math.log(2)),
            comparability_key=key,
        )
        ledger.commit(row, epoch_rows(trial, sweep=name))
    for seed, bound in enumerate(iwae, start=1):
        ConfirmRuns(store, name).commit(finalist_row(1, seed, name, iwae=-bound, iwae_k=500, comparability_key=key))


def test_sweeps_of_one_task_are_compared_in_nats_best_first(store):
    put_sweep(store, "a", 100.0)
    put_sweep(store, "b", 90.0)

    found = compare(store, ["a", "b"])

    assert (found.unit, found.bound) == ("nats", "neg_elbo")
    assert [(one.sweep, one.row.trial, one.value, one.seeds) for one in found.contenders] == [
        ("b", 1, 90.0, 0),
        ("a", 1, 100.0, 0),
    ]


def test_two_likelihoods_of_the_same_pixels_are_compared_in_bits_by_their_fresh_seeds(store):
    put_sweep(store, "a", 100.0, key="1" * 64, pixels=PIXELS, likelihood="gaussian", iwae=(98.0, 102.0))
    put_sweep(store, "b", 120.0, key="2" * 64, pixels=PIXELS, likelihood="discretized_logistic", iwae=(97.0,))

    found = compare(store, ["a", "b"])

    assert (found.unit, found.bound) == ("bits_per_dim", "iwae_500")
    assert [one.sweep for one in found.contenders] == ["b", "a"]
    assert [one.value * VALUES * math.log(2) for one in found.contenders] == pytest.approx([97.0, 100.0])
    assert [one.seeds for one in found.contenders] == [1, 2]
    assert found.contenders[1].sd * VALUES * math.log(2) == pytest.approx(math.sqrt(8.0))


def test_where_only_one_is_confirmed_both_are_taken_as_the_search_has_them(store):
    put_sweep(store, "a", 100.0, iwae=(80.0,))
    put_sweep(store, "b", 90.0)

    found = compare(store, ["a", "b"])

    assert found.bound == "neg_elbo"
    assert [(one.sweep, one.value) for one in found.contenders] == [("b", 90.0), ("a", 100.0)]


def test_the_run_that_a_finalist_was_chosen_by_confirms_nothing(store):
    put_sweep(store, "a", 100.0)
    ConfirmRuns(store, "a").commit(finalist_row(1, 0, "a", iwae=-80.0, iwae_k=500, comparability_key=KEY))
    put_sweep(store, "b", 90.0, iwae=(85.0,))

    found = compare(store, ["a", "b"])

    assert found.bound == "neg_elbo"
    assert [(one.sweep, one.seeds) for one in found.contenders] == [("b", 0), ("a", 0)]


def test_without_common_seeds_each_sweep_is_represented_by_its_lowest_bound(store):
    """Neither what seeds have confirmed nor what an objective prefers stands for it then."""
    put_sweep(store, "a", 100.0, iwae=(80.0,))
    steady = trial_row(2, sweep="a", neg_elbo=85.0, objective=200.0, bits_per_dim=1.0, comparability_key=KEY)
    Ledger(store, "a").commit(steady, epoch_rows(2, sweep="a"))
    put_sweep(store, "b", 90.0)

    found = compare(store, ["a", "b"])

    assert [(one.sweep, one.row.trial, one.value) for one in found.contenders] == [("a", 2, 85.0), ("b", 1, 90.0)]


@pytest.mark.parametrize("pixels", [(None, None), (PIXELS, None), (PIXELS, "q" * 64)])
def test_scores_of_different_images_are_refused(store, pixels):
    """None and None as well: two binarisations of the same images are two tasks."""
    put_sweep(store, "a", 100.0, key="1" * 64, pixels=pixels[0])
    put_sweep(store, "b", 90.0, key="2" * 64, pixels=pixels[1])

    with pytest.raises(Conflict, match="binarize: none in all"):
        compare(store, ["a", "b"])


def test_one_sweep_an_unknown_one_and_one_without_results_are_refused(store):
    put_sweep(store, "a", 100.0)
    record = sweep_record.read(store, "a")
    spec = parse_spec(SPEC.replace("digits", "empty"), base=Path())
    beginning.create_or_check(
        store, sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key=KEY, versions={}), text=""
    )

    assert record.pixels_key is None
    for names in (["a"], ["a", "a"]):
        with pytest.raises(InvalidSpec, match="two or more"):
            compare(store, names)
    with pytest.raises(NotFound, match="no sweep 'b'"):
        compare(store, ["a", "b"])
    with pytest.raises(NotFound, match="empty: no trial has completed"):
        compare(store, ["a", "empty"])


def test_the_pixels_key_follows_images_and_split_and_not_the_likelihood(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (200, 5, 5)).astype(np.uint8)
    np.save(tmp_path / "a.npy", images)
    images[0, 0, 0] ^= 1
    np.save(tmp_path / "b.npy", images)

    def dataset(name: str, **fields):
        return load_dataset(DataSpec(source=str(tmp_path / name), **fields), cache=tmp_path)

    grey = dataset("a.npy", binarize="none")
    others = [dataset("b.npy", binarize="none"), dataset("a.npy", binarize="none", validation=50)]

    assert pixels_key(grey) == pixels_key(dataset("a.npy", binarize="none"))
    assert len({pixels_key(one) for one in (grey, *others)}) == 3
    assert pixels_key(dataset("a.npy")) is pixels_key(dataset("a.npy", binarize="threshold")) is None
    assert len({comparability_key(grey, likelihood=name) for name in ("gaussian", "discretized_logistic")}) == 2


def test_the_command_shows_a_table_or_json_and_refuses_with_exit_code_5(store, tmp_path):
    put_sweep(store, "a", 100.0, key="1" * 64, pixels=PIXELS, likelihood="gaussian")
    put_sweep(store, "b", 120.0, key="2" * 64, pixels=PIXELS, likelihood="discretized_logistic")
    put_sweep(store, "c", 90.0)

    def ask(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return vae_search("compare", *arguments, "--store", store.location, folder=tmp_path)

    table, facts, refused = ask("a", "b"), ask("a", "b", "--json"), ask("a", "c")

    assert "bits per dimension" in table.stdout.decode()
    assert f"{100 / (VALUES * math.log(2)):.4f}" in table.stdout.decode()
    told = json.loads(facts.stdout)
    assert (told["unit"], [one["sweep"] for one in told["sweeps"]]) == ("bits_per_dim", ["a", "b"])
    assert refused.returncode == 5
    assert len(refused.stderr.strip().splitlines()) <= 3
