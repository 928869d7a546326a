"""Names of sweeps and models, and references to trials as users write them: `digits/42`.

A name has one definition, for the check, the JSON Schema and the words of the refusal.
"""

from vae_search.errors import InvalidSpec

LONGEST_NAME = 63  # what Kubernetes and DNS take for a label
_LETTERS = "a-z0-9"
NAME_PATTERN = rf"^[{_LETTERS}][{_LETTERS}-]{{0,{LONGEST_NAME - 1}}}$"
NAME_LAW = f"must be 1 to {LONGEST_NAME} of a-z, 0-9 and -, and begin with a letter or digit"


def parse_trial_reference(text: str) -> tuple[str, int | None]:
    """`digits/42` -> ("digits", 42); `digits` -> ("digits", None), meaning its best trial.

    Raises:
        InvalidSpec: What follows the slash is no number.
    """
    sweep, slash, number = text.partition("/")
    if slash and not number.isdecimal():
        raise InvalidSpec(f"{text}: a trial is written SWEEP/NUMBER, such as {sweep}/42, but {number!r} is no number.")
    return sweep, int(number) if slash else None
