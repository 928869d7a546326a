"""Files as people have them: each is read as it is meant, or refused with the line that mends it."""

import re
from dataclasses import replace

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.support.paths import ROOT
from tests.support.people_files import arrays, other, pictures, tables
from tests.support.people_files.case import Case
from vae_search.data.dataset import Dataset, load_dataset
from vae_search.data.formats.choices import Choices
from vae_search.data.sources import read_source
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec

TABLE_BEGINS = "| what you have | what becomes of it |\n|---|---|\n"
CASES = [*pictures.CASES, *arrays.CASES, *tables.CASES, *other.CASES]
READ = [case for case in CASES if case.refused is None]
REFUSED = [case for case in CASES if case.refused is not None]


def spec_of(case: Case, source: object) -> DataSpec:
    return DataSpec.model_validate({"source": str(source), "binarize": "threshold", **case.choices})


@pytest.mark.parametrize("case", READ, ids=[case.name for case in READ])
def test_files_are_read_as_they_are_meant(tmp_path, case):
    spec = spec_of(case, case.make(tmp_path))

    source = read_source(spec.source, cache=tmp_path, choices=Choices.of(spec))

    train, validation, test = case.parts
    own = None if source.protocol is None else source.protocol.validation
    assert (len(source.train) - (own or 0), own, None if source.test is None else len(source.test)) == (
        train,
        validation,
        test,
    )
    assert source.train.pixels.shape[1:] == case.shape_of
    for fragment in case.said:
        assert fragment in " ".join(source.notes)
    if case.pixels is not None:
        expected = case.pixels().astype(float) * source.train.scale / (1 if source.train.scale == 1 else 255)
        assert np.abs(source.train.pixels - expected).max() <= case.tolerance


@pytest.mark.parametrize("case", REFUSED, ids=[case.name for case in REFUSED])
def test_files_that_are_not_read_are_refused_with_what_to_do(tmp_path, case):
    source = case.make(tmp_path)

    with pytest.raises(BadData) as error:
        load_dataset(spec_of(case, source), cache=tmp_path)

    message = str(error.value)
    assert case.refused in message
    assert len(message.splitlines()) <= 3
    assert message.count(str(source)) == 1


def test_parts_of_their_own_are_the_parts_that_are_scored(tmp_path):
    images = arrays.drawings(300)
    spec = DataSpec(source=str(arrays.medmnist(tmp_path)), binarize="none")

    dataset: Dataset = load_dataset(spec, cache=tmp_path)

    held_out = np.concatenate([dataset.select, dataset.judge])[..., 0]
    assert {image.tobytes() for image in held_out} == {image.tobytes() for image in images[200:240]}
    assert {image.tobytes() for image in dataset.test[..., 0]} == {image.tobytes() for image in images[240:]}
    assert len(dataset.train) == 200


def test_the_table_of_the_docs_is_that_of_the_corpus():
    page = (ROOT / "docs/guides/images.md").read_text()
    table = page.partition(TABLE_BEGINS)[2].partition("\n\n")[0]

    rows = [f"| {case.shape} | {case.outcome} |" for case in CASES if case.outcome]

    assert table.strip().splitlines() == rows, "copy these into docs/guides/images.md:\n" + "\n".join(rows)


CHOICE = re.compile(r"data\.(\w+): (\{.*?\}|\S+?)(?=[.,]?(?:\s|$))")
MENDED = [case for case in REFUSED if CHOICE.search(case.refused) or case.name == "damaged"]


@pytest.mark.parametrize("case", MENDED, ids=[case.name for case in MENDED])
def test_the_line_that_a_refusal_names_mends_the_spec(tmp_path, case):
    spec = spec_of(case, case.make(tmp_path))
    with pytest.raises(BadData) as error:
        read_source(spec.source, cache=tmp_path, choices=Choices.of(spec))
    ((key, value),) = CHOICE.findall(str(error.value))

    mended = spec_of(replace(case, choices={key: YAML(typ="safe").load(value)}), spec.source)

    assert len(read_source(spec.source, cache=tmp_path, choices=Choices.of(mended)).train) > 80


def test_arrays_of_too_large_images_are_read_in_the_size_that_the_refusal_names(tmp_path):
    np.save(tmp_path / "a.npy", arrays.drawings(100, 20, 600))
    with pytest.raises(BadData) as error:
        read_source(str(tmp_path / "a.npy"), cache=tmp_path)
    ((key, value),) = CHOICE.findall(str(error.value))

    spec = DataSpec.model_validate({"source": "x", key: YAML(typ="safe").load(value)})

    source = read_source(str(tmp_path / "a.npy"), cache=tmp_path, choices=Choices.of(spec))
    assert source.train.pixels.shape == (100, 64, 64, 1)
    assert "Brought to 64×64" in source.notes[-1]
