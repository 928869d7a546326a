"""Hostile files are made by h5py itself, as an attacker would."""

import io
import random

import h5py
import numpy as np
import pytest

from tests.support.networks import FAMILIES, binary, description, weights
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.weights_file import read_weights, weights_file
from vae_search.vae.networks.network import build

pytestmark = pytest.mark.needs_tensorflow

DESCRIBED = description()
NETWORK, WEIGHTS = build(DESCRIBED.network), weights(DESCRIBED)
NAME = NETWORK.names[0]
SHAPE = WEIGHTS[NAME].shape


def changed(change) -> bytes:
    """The good file after `change(file)`."""
    buffer = io.BytesIO(weights_file(WEIGHTS))
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def replaced(**dataset) -> bytes:
    """The good file with its first weight replaced by another dataset."""

    def change(file):
        del file[NAME]
        file.create_dataset(NAME, **dataset)

    return changed(change)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_weights_come_back_with_the_same_bits(architecture):
    described = description(architecture=architecture)
    expected = weights(described)

    found = read_weights(weights_file(expected), build(described.network))

    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32


def test_equal_weights_give_equal_bytes():
    assert weights_file(WEIGHTS) == weights_file(WEIGHTS)


def test_a_version_is_rebuilt_from_its_two_files():
    images = binary(7)
    expected = VaeModel(DESCRIBED, WEIGHTS)

    found = VaeModel.from_version(DESCRIBED.to_json(), weights_file(WEIGHTS))

    for ours, theirs in zip(found.encode(images), expected.encode(images), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.sample(3, seed=1), expected.sample(3, seed=1))


def soft_link(file):
    del file[NAME]
    file[NAME] = h5py.SoftLink(f"/{NETWORK.names[2]}")


def external_link(file):
    del file[NAME]
    file[NAME] = h5py.ExternalLink("/etc/hostname", "/x")


def external_group(file):
    del file["decoder"]
    file["decoder"] = h5py.ExternalLink("other.h5", "/decoder")


def virtual(file):
    layout = h5py.VirtualLayout(SHAPE, "<f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", SHAPE)
    del file[NAME]
    file.create_virtual_dataset(NAME, layout)


def group_for_a_weight(file):
    del file[NAME]
    file.create_group(NAME)


def weight_for_a_group(file):
    del file["decoder"]
    file["decoder"] = np.zeros(3, np.float32)


def not_a_number(file):
    file[NAME][0, 0] = np.nan


def infinite(file):
    file[NETWORK.names[1]][0] = np.inf


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (changed(soft_link), "SoftLink"),
        (changed(external_link), "ExternalLink"),
        (changed(external_group), "ExternalLink"),
        (changed(virtual), "one piece"),
        (changed(group_for_a_weight), "must be a dataset"),
        (changed(weight_for_a_group), "must be a group"),
        (changed(not_a_number), "must be finite, but 1 are not"),
        (changed(infinite), "must be finite, but 1 are not"),
        (changed(lambda file: file.create_group("optimizer")), "optimizer: is no part"),
        (changed(lambda file: file["encoder"].create_dataset("extra", data=[1.0])), "extra: is no weight"),
        (changed(lambda file: file["encoder"].create_group("cycle")), "cycle: is no weight"),
        (changed(lambda file: file["encoder"].__setitem__("up", file["/"])), "up: is no weight"),
        (changed(lambda file: file.create_group("two\nlines")), r"two\\nlines: is no part"),
        (changed(lambda file: file.__delitem__(NAME)), "is missing"),
        (replaced(shape=(2**20, 2**20), dtype="<f4"), "must have shape"),  # declared and never written: 4 TiB
        (replaced(shape=SHAPE[::-1], dtype="<f4"), "must have shape"),
        (replaced(shape=(), dtype="<f4"), "must have shape"),
        (replaced(data=h5py.Empty("<f4")), "must have shape"),
        (replaced(shape=SHAPE, dtype=h5py.string_dtype()), "must be of float32"),
        (replaced(shape=SHAPE, dtype=h5py.ref_dtype), "must be of float32"),
        (replaced(shape=SHAPE, dtype=h5py.vlen_dtype(np.float32)), "must be of float32"),
        (replaced(shape=SHAPE, dtype="<f8"), "must be of float32"),
        (replaced(shape=SHAPE, dtype=">f4"), "must be of float32"),
        (replaced(shape=SHAPE, dtype="<f4", chunks=True), "one piece"),
        (replaced(shape=SHAPE, dtype="<f4", compression="gzip"), "one piece"),
        (replaced(shape=SHAPE, dtype="<f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)]), "one piece"),
        (weights_file(WEIGHTS) + bytes(2**24), "at most"),
        (weights_file(weights(description(width=8))), "must have shape"),
        (b"", "intact HDF5"),
        (b"\x80\x04\x95 a pickle", "intact HDF5"),
        (weights_file(WEIGHTS)[:3000], "intact HDF5"),
    ],
)
def test_a_file_that_holds_anything_but_the_networks_weights_is_refused_in_one_line(content, reason):
    with pytest.raises(ValueError, match=reason) as refusal:
        read_weights(content, NETWORK)

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("seed", range(8))
def test_damage_anywhere_gives_a_refusal_or_arrays_of_the_right_shapes(seed):
    whole, rng = bytearray(weights_file(WEIGHTS)), random.Random(seed)
    for _ in range(60):
        damaged = bytearray(whole)
        for position in rng.sample(range(len(whole)), 3):
            damaged[position] ^= 1 << rng.randrange(8)
        content = bytes(damaged[: rng.choice([len(whole), rng.randrange(len(whole))])])
        try:
            found = read_weights(content, NETWORK)
        except ValueError:
            continue
        assert {name: array.shape for name, array in found.items()} == {n: a.shape for n, a in WEIGHTS.items()}
