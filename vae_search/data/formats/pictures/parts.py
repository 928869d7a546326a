"""Parts of a data set that the folders of its pictures name, of a folder on disk or in an archive."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vae_search.core.text import printable
from vae_search.data.formats.roles import ROLE_NAMES, Role, role_of
from vae_search.errors import BadData

Parts = tuple[str, ...]
"""path of a picture inside of its folder or archive"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureParts:
    """Positions of pictures, by part.

    Args:
        roles: names of the folders that say so.
    """

    positions: Mapping[Role, Sequence[int]]
    roles: Mapping[str, Role]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentence on the folders that were taken as parts, if there are any beside those of Keras's names."""
        if "validation" not in self.positions:
            return ()
        by_part = sorted(self.roles.items(), key=lambda item: ROLE_NAMES.index(item[1]))
        named = ", ".join(f"{printable(name)} ({role})" for name, role in by_part)
        return (f"Parts are those of the folders: {named}.",)


def parts_of(pictures: Sequence[Parts], *, where: str) -> PictureParts:
    """Divide pictures into the parts that the folders around them name.

    Folders that say training, validation or testing are these parts. No other folder whose name says that its pictures
    are not to be trained on is pooled with the rest.

    Args:
        pictures: their paths, in their order.

    Raises:
        BadData: Names of folders do not tell which pictures are to be trained on.
    """
    depth = _wrappers(pictures)
    names = sorted({parts[depth] for parts in pictures if len(parts) > depth + 1})
    roles = {name: role for name in names if (role := role_of(name)) is not None}
    _refuse_names(where, roles, pictures, depth)
    by_role: dict[Role, list[int]] = {role: [] for role in ROLE_NAMES}
    beside: list[int] = []
    for position, parts in enumerate(pictures):
        role = roles.get(parts[depth]) if len(parts) > depth + 1 else None
        (beside if role is None else by_role[role]).append(position)
    _refuse_deeper([pictures[position] for position in (*by_role["train"], *beside)], depth, where)
    if not roles:
        return PictureParts(positions={"train": beside}, roles={})
    if beside:
        known = " and ".join(roles)
        raise BadData(
            f"{where}: there must be no pictures beside {known}, but {len(beside):,} are "
            f"(first: {printable('/'.join(pictures[beside[0]]), 200)}).\nMove them into one of them, or remove them."
        )
    return PictureParts(positions={role: found for role, found in by_role.items() if found}, roles=roles)


def classes_of(
    pictures: Sequence[Parts], positions: Mapping[Role, Sequence[int]], roles: Collection[str]
) -> dict[Role, np.ndarray]:
    """Names of the folders that pictures lie in, by part; nothing if one lies in no folder, or in that of a part.

    Args:
        pictures: their paths.
        positions: of the pictures of each part, in their order.
        roles: names of folders that are parts and no classes.
    """
    names = {
        role: [parts[-2] if len(parts) > 1 and parts[-2] not in roles else "" for parts in (pictures[p] for p in at)]
        for role, at in positions.items()
    }
    return {role: np.array(found) for role, found in names.items()} if all(map(all, names.values())) else {}


def _wrappers(pictures: Sequence[Parts]) -> int:
    """Number of folders around all pictures that say nothing, as `mnist_png` around `training` and `testing`."""
    first = pictures[0]
    depth = 0
    while (
        depth < min(len(parts) for parts in pictures) - 1
        and role_of(first[depth]) is None
        and all(parts[depth] == first[depth] for parts in pictures)
    ):
        depth += 1
    return depth


def _refuse_names(where: str, roles: dict[str, Role], pictures: Sequence[Parts], depth: int) -> None:
    """Refuse folders that do not tell which pictures are to be trained on."""
    by_role = {role: [name for name, found in roles.items() if found == role] for role in ROLE_NAMES}
    for role, names in by_role.items():
        if len(names) > 1:
            raise BadData(
                f"{where}: one folder must say {role}, but {' and '.join(names)} do.\n"
                "Move their pictures into one of them."
            )
    if by_role["train"]:
        return
    if by_role["validation"]:
        name = by_role["validation"][0]
        count = sum(parts[depth] == name for parts in pictures)
        a_class = "" if by_role["test"] else f"\nIf it is a class, rename it to class_{name}."
        raise BadData(
            f"{where}: {name} says that its {count:,} pictures are not to be trained on, but no folder says which are."
            f"\nMove the others into a folder train beside it, class folders inside.{a_class}"
        )
    if by_role["test"]:
        raise BadData(f"{where}: {by_role['test'][0]} needs pictures in train beside it, but there are none.")


def _refuse_deeper(pictures: Sequence[Parts], depth: int, where: str) -> None:
    """Refuse folders further down that say that their pictures are not to be trained on, as `cats/test`."""
    for parts in pictures:
        for end in range(depth + 1, len(parts) - 1):
            if role_of(parts[end]) in ("test", "validation"):
                name = printable("/".join(parts[: end + 1]), 200)
                raise BadData(
                    f"{where}: {name} says that its pictures are not to be trained on, but it lies among those "
                    "that are.\nSort the pictures into a folder train and a folder test, class folders inside; or "
                    f"rename it, to class_{printable(parts[end])} if it is a class."
                )
