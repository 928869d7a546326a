"""Which image belongs to which split: a pure function of counts."""

from dataclasses import dataclass

import numpy as np

from vae_search.errors import BadData

SPLIT_SEED = 20_240_229  # never changes: another permutation would be another task
DEFAULT_SHARE = 1 / 6
FEWEST = {"train": 32, "select": 16, "judge": 16, "test": 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Positions in the source's images; disjoint, and together all of them.

    select ranks trials and rungs, judge confirms and gates, test is read once, for a candidate that has passed.
    `test` is None if the source has a test split of its own.
    """

    train: np.ndarray
    select: np.ndarray
    judge: np.ndarray
    test: np.ndarray | None

    @property
    def validation(self) -> np.ndarray:
        """select and judge, in the order in which they are binarised."""
        return np.concatenate([self.select, self.judge])


def split(
    count: int,
    *,
    validation: int | float | None,
    test: int | float | None,
    has_own_test: bool,
    in_order: bool,
    where: str,
) -> Splits:
    """Split `count` images. Counts are whole numbers, fractions are of `count`, None is one sixth.

    Args:
        in_order: the last images are the validation images; else a fixed permutation decides.

    Raises:
        BadData: A split would be too small.
    """
    test_count = 0 if has_own_test else _count(test, count)
    validation_count = _count(validation, count)
    order = np.arange(count) if in_order else np.random.default_rng(SPLIT_SEED).permutation(count)
    train_count = count - validation_count - test_count
    middle = train_count + validation_count // 2
    splits = Splits(
        train=order[: max(train_count, 0)],
        select=order[max(train_count, 0) : middle],
        judge=order[middle : train_count + validation_count],
        test=None if has_own_test else order[train_count + validation_count :],
    )
    parts = {"train": splits.train, "select": splits.select, "judge": splits.judge, "test": splits.test}
    for name, positions in parts.items():
        if positions is not None and len(positions) < FEWEST[name]:
            raise BadData(
                f"{where}: {FEWEST[name]} {name} images are needed at least, but {count} images split into "
                f"{max(train_count, 0)} train, {validation_count} validation and {test_count} test leave "
                f"{max(0, len(positions))}.\nChange data.validation or data.test, or add images."
            )
    return splits


def _count(wanted: int | float | None, total: int) -> int:
    if wanted is None:
        return round(total * DEFAULT_SHARE)
    return wanted if isinstance(wanted, int) else round(total * wanted)
