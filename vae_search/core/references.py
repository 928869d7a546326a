"""References to trials as users write them: `digits/42`."""

from vae_search.errors import InvalidSpec


def parse_trial_reference(text: str) -> tuple[str, int | None]:
    """`digits/42` -> ("digits", 42); `digits` -> ("digits", None), meaning its best trial.

    Raises:
        InvalidSpec: What follows the slash is no number.
    """
    sweep, slash, number = text.partition("/")
    if slash and not number.isdecimal():
        raise InvalidSpec(f"{text}: a trial is written SWEEP/NUMBER, such as {sweep}/42, but {number!r} is no number.")
    return sweep, int(number) if slash else None
