"""Canonical JSON."""

import pytest

from vae_search.errors import CorruptStore
from vae_search.store.backends.json_records import from_json_bytes, from_sealed_json, to_json_bytes, to_sealed_json


def test_equal_records_are_equal_bytes_whatever_their_order() -> None:
    content = to_json_bytes({"b": 1, "a": {"d": "ü", "c": None}})

    assert content == to_json_bytes({"a": {"c": None, "d": "ü"}, "b": 1})
    assert content.endswith(b"\n")
    assert "ü".encode() in content
    assert from_json_bytes(content, where="x") == {"a": {"c": None, "d": "ü"}, "b": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        to_json_bytes({"a": value})


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe", b"[1]", b"null"])
def test_anything_but_an_object_is_corrupt_and_named(content: bytes) -> None:
    with pytest.raises(CorruptStore, match=r"^leases/000001\.json: must be"):
        from_json_bytes(content, where="leases/000001.json")


def test_a_sealed_record_comes_back_and_every_changed_byte_shows() -> None:
    content = to_sealed_json({"a": 1, "b": "ü"})

    assert from_sealed_json(content, where="x") == {"a": 1, "b": "ü"}
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        with pytest.raises(CorruptStore, match=r"^x: "):
            from_sealed_json(bytes(changed), where="x")


def test_a_record_with_a_seal_of_its_own_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="sha256"):
        to_sealed_json({"sha256": "0"})
