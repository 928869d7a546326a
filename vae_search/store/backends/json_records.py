"""JSON as the store writes it: one canonical form, so that equal records are equal bytes."""

import hashlib
import json
from collections.abc import Mapping

from vae_search.errors import CorruptStore


def to_json_bytes(record: Mapping[str, object]) -> bytes:
    """`record` as UTF-8 JSON with sorted keys and a newline at the end.

    Raises:
        ValueError: A number is NaN or infinite; JSON has no word for these.
    """
    return (json.dumps(record, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def from_json_bytes(content: bytes, *, where: str) -> dict[str, object]:
    """The record in `content`; `where` names the file in messages.

    Raises:
        CorruptStore: It is not one JSON object in UTF-8.
    """
    try:
        record = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise CorruptStore(f"must be JSON, but {error}.", path=where, advice="Restore the file from a copy.") from error
    if not isinstance(record, dict):
        raise CorruptStore(
            f"must be a JSON object, but is {type(record).__name__}.", path=where, advice="Restore it from a copy."
        )
    return record


def to_sealed_json(record: Mapping[str, object]) -> bytes:
    """`record` as JSON with the SHA-256 of its own canonical bytes in the field `sha256`.

    Raises:
        ValueError: It has this field already.
    """
    if "sha256" in record:
        raise ValueError("a sealed record must not have the field sha256")
    return to_json_bytes({**record, "sha256": _digest(record)})


def from_sealed_json(content: bytes, *, where: str) -> dict[str, object]:
    """The record that `to_sealed_json` made `content` of.

    Raises:
        CorruptStore: A byte is changed.
    """
    record = from_json_bytes(content, where=where)
    seal = record.pop("sha256", None)
    if seal != _digest(record) or content != to_json_bytes(record | {"sha256": seal}):
        raise CorruptStore("damaged: its bytes do not match its digest.", path=where, advice="Restore it from a copy.")
    return record


def _digest(record: Mapping[str, object]) -> str:
    return hashlib.sha256(to_json_bytes(record)).hexdigest()
