"""Validation: collect every mistake in a value, each with the path inside it, and raise them as one error."""

from vae_search.core.text import printable, shown

KeyPath = tuple[str | int, ...]  # keys and list positions, from the outside in
Problems = list[tuple[KeyPath, str]]


class InvalidValueError(ValueError):
    """Everything that is wrong with one value; `found` pairs the path inside the value with a sentence."""

    def __init__(self, found: Problems) -> None:
        super().__init__("\n".join(f"{dotted(path)}: {sentence}" if path else sentence for path, sentence in found))
        self.found = tuple(found)


def raise_problems(found: Problems) -> None:
    """Raise one error for all that was found, if anything was."""
    if found:
        raise InvalidValueError(found)


def dotted(path: KeyPath) -> str:
    """A path as a reader writes it: `search_space.depth[1].low`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{printable(part)}" if text else printable(part)
    return text


def changes_between(old: object, new: object, *, path: KeyPath = ()) -> list[str]:
    """Differences between two trees of plain values, one `budget.epochs: 9 → 12` each."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        return [line for key in keys for line in changes_between(old.get(key), new.get(key), path=(*path, key))]
    return [] if old == new else [f"{dotted(path)}: {shown(old)} → {shown(new)}"]
