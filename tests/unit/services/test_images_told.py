"""Images as they were read: told before anything starts, kept in the sweep's record, told again by whoever shows it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.support.candidates import candidate, put_sweep
from tests.support.command_line import vae_search
from tests.support.paths import ROOT
from tests.support.pictures import grey
from vae_search.core.dataset_summary import DatasetSummary
from vae_search.data.dataset import load_dataset
from vae_search.reports.narrative import summary
from vae_search.services import reporting, sweep_status
from vae_search.services.payloads import status_facts
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.local import LocalStore
from vae_search.store.sweeps import sweep_record

SPEC = """
name: leak
data: {source: leak.npz}
search_space: {architecture: mlp, latent_dim: 2, width: 8, depth: 1, batch_size: 32}
budget: {trials: 2, epochs: 3}
pruning: off
confirm: {finalists: 0}
"""
TOLD = (
    "360 images of 6×5, grey, intensities 0 … 1, white is 255: 250 to train on, 25 to select and 25 to judge by, 60 of "
    "the source's own to test."
)


@pytest.fixture
def folder(tmp_path) -> Path:
    np.savez(tmp_path / "leak.npz", x_train=grey(300), x_test=grey(300)[:60])
    (tmp_path / "leak.yaml").write_text(SPEC)
    return tmp_path


@pytest.fixture
def images(folder) -> DatasetSummary:
    return load_dataset(DataSpec(source=str(folder / "leak.npz")), cache=folder).summary


@pytest.mark.slow
def test_a_dry_run_says_what_was_read_and_what_is_odd_about_it(folder, images):
    said = vae_search("run", "leak.yaml", "--dry-run", folder=folder).stdout.decode()
    as_json = json.loads(vae_search("run", "leak.yaml", "--dry-run", "--json", folder=folder).stdout)

    assert TOLD in said
    assert "Exact copies of other images: 60." in said
    assert f"{images.in_train['test']} of 60 test images" in said
    assert DatasetSummary.from_json(as_json["images"]) == images


@pytest.mark.needs_tensorflow
@pytest.mark.slow
def test_a_run_says_so_before_its_first_trial_and_keeps_it(folder, images):
    said = vae_search("run", "leak.yaml", "--inline", folder=folder).stdout.decode()

    assert said.index(TOLD) < said.index("trial 0")
    store = LocalStore(folder / "vae-store")
    assert sweep_record.read(store, "leak").images == images
    assert TOLD in vae_search("status", "leak", folder=folder).stdout.decode()


def test_status_and_report_tell_what_the_record_has(store, images, tmp_path):
    put_sweep(store, candidate(), images=images)

    status = sweep_status.status(store, "digits")
    told = vae_search("status", "digits", "--store", store.location, folder=tmp_path).stdout.decode()
    paragraphs = summary(reporting.findings(store, "digits", now=datetime.now(UTC)))

    assert status.images == images
    assert status_facts(status)["images"]["copies"] == 60
    assert TOLD in told
    assert paragraphs[0].startswith(TOLD)
    assert all(sentence in paragraphs[0] for sentence in images.sentences)


def test_a_store_from_before_tells_nothing_of_images():
    store = LocalStore(ROOT / "tests/fixtures/store_f001553/store")

    status = sweep_status.status(store, "before")

    assert status.images is None
    assert "images" not in status_facts(status)
