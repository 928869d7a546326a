"""Train, select, judge and test split: a pure function of counts."""

import hashlib
from dataclasses import dataclass

import numpy as np

from vae_search.errors import BadData

SPLIT_SEED = 6  # of the permutation for sources without a protocol; any constant would do
LEAST_TRAIN, LEAST_PART = 32, 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Positions in a source's images, each (count,) int64; together they hold every image once.

    Args:
        select: the first half of the validation images: the search compares trials on them.
        judge: the other half: confirm runs and gates use them.
        test: None if the source has test images of its own.
    """

    train: np.ndarray
    select: np.ndarray
    judge: np.ndarray
    test: np.ndarray | None

    @property
    def validation(self) -> np.ndarray:
        """`select`, then `judge`."""
        return np.concatenate([self.select, self.judge])

    @property
    def sha256(self) -> str:
        """Hash of all positions."""
        digest = hashlib.sha256()
        for part in (self.train, self.select, self.judge, self.test):
            digest.update(b"own" if part is None else f"{len(part)}:".encode() + part.astype("<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Usual split of a data set: its images in their order, training first, validation next, test last.

    Args:
        validation: count of validation images.
        test: count of test images; None if the source has its own.
        is_fixed: other counts would put images that overlap into two parts.
        is_own: the source sets the last `validation` images apart to choose models by; the others are in no order.
    """

    validation: int
    test: int | None = None
    is_fixed: bool = False
    is_own: bool = False

    @property
    def validation_is_open(self) -> bool:
        """True if a spec may ask for another number of validation images."""
        return not (self.is_own or self.is_fixed)


def split_images(
    count: int,
    *,
    own_test: int | None,
    protocol: Protocol | None,
    validation: float | None,
    test: float | None,
    where: str,
) -> Split:
    """Split `count` images.

    What is not asked for follows the protocol. Without a protocol it is one sixth, or the least that is enough, and the
    images are permuted first, by a fixed permutation, because folders and files are often sorted by class.

    Args:
        own_test: how many test images the source has beside these, or None.
        validation: count (int) or fraction (float in (0, 1)) of these images, or None.
        test: the same for test images; only without `own_test`.
        where: what messages begin with.

    Raises:
        BadData: A part would be too small, `test` is asked for although the source has its own, or other counts than
            those of a fixed protocol are asked for.
    """
    _check_asked(own_test=own_test, protocol=protocol, validation=validation, test=test, where=where)
    least = LEAST_TRAIN + (2 if own_test is not None else 3) * LEAST_PART
    if count < least:
        raise BadData(
            f"{where}: at least {least} images are needed to train, validate and test, but there are {count}."
        )
    own_validation = protocol.validation if protocol is not None and protocol.is_own else None
    usual = None if own_validation is not None else protocol
    pool = count - (own_validation or 0)
    tested = 0 if own_test is not None else _count(test, usual.test if usual else None, pool, least=LEAST_PART)
    validated = own_validation or _count(validation, usual.validation if usual else None, count, least=2 * LEAST_PART)
    trained = count - validated - tested
    _check_counts(
        count, trained=trained, validated=validated, tested=None if own_test is not None else tested, where=where
    )
    order = np.arange(count) if usual else _permuted(pool, own_validation, trained)
    middle, end = trained + validated // 2, trained + validated
    return Split(
        train=order[:trained],
        select=order[trained:middle],
        judge=order[middle:end],
        test=order[end:] if own_test is None else None,
    )


def _permuted(pool: int, own_validation: int | None, trained: int) -> np.ndarray:
    """All positions by a fixed permutation: those to train on, the validation images, and those to test with."""
    drawn = np.random.default_rng(SPLIT_SEED)
    order = drawn.permutation(pool)
    if own_validation is None:
        return order
    # Among themselves too: else the two halves would be of different classes where they are sorted.
    validation = pool + drawn.permutation(own_validation)
    return np.concatenate([order[:trained], validation, order[trained:]])


def _check_asked(
    *, own_test: int | None, protocol: Protocol | None, validation: float | None, test: float | None, where: str
) -> None:
    if own_test is not None and test not in (None, own_test):
        raise BadData(
            f"{where}: data.test must be left out, because the source has {own_test:,} test images of its own, "
            f"but it is {test:,}. Remove it."
        )
    if own_test is not None and own_test < LEAST_PART:
        raise BadData(
            f"{where}: at least {LEAST_PART} test images are needed, but the source has {own_test} of its own.\n"
            "Bring more, or leave them out: some of the others are set aside then."
        )
    if protocol is not None and protocol.is_own and validation not in (None, protocol.validation):
        raise BadData(
            f"{where}: data.validation must be left out, because the source has {protocol.validation:,} validation "
            f"images of its own, but it is {validation:,}. Remove it."
        )
    if protocol is not None and protocol.is_fixed and validation not in (None, protocol.validation):
        raise BadData(
            f"{where}: data.validation must be left out, because {protocol.validation:,} images are set aside for it "
            f"and the others overlap,\nbut it is {validation:,}. Remove it."
        )


def _check_counts(count: int, *, trained: int, validated: int, tested: int | None, where: str) -> None:
    """`tested` is None if the source has test images of its own."""
    problems = []
    if validated < 2 * LEAST_PART:
        problems.append(
            f"data.validation must be at least {2 * LEAST_PART} images, half to select and half to judge by, "
            f"but it is {validated} of {count:,}."
        )
    if tested is not None and tested < LEAST_PART:
        problems.append(f"data.test must be at least {LEAST_PART} images, but it is {tested} of {count:,}.")
    if problems:
        also = " and ".join(problem.partition(" ")[0] for problem in problems)
        both = "\n".join(problems)
        raise BadData(f"{where}: {both}\nRaise {also}, or leave {'it' if len(problems) == 1 else 'both'} out.")
    if trained < LEAST_TRAIN:
        tests = f" and {tested:,} for the test" if tested is not None else ""
        raise BadData(
            f"{where}: data.validation must leave at least {LEAST_TRAIN} of {count:,} images to train on, "
            f"but it takes {validated:,}{tests}.\nLower it, or bring more images."
        )


def _count(asked: float | None, usual: int | None, count: int, *, least: int) -> int:
    if isinstance(asked, float):
        return round(asked * count)
    if asked is not None:
        return asked
    return max(least, round(count / 6)) if usual is None else usual
