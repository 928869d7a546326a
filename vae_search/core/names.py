"""Names of sweeps and models: one definition for the check, the JSON Schema and the words of the refusal."""

LONGEST_NAME = 63  # what Kubernetes and DNS take for a label
_LETTERS = "a-z0-9"
NAME_PATTERN = rf"^[{_LETTERS}][{_LETTERS}-]{{0,{LONGEST_NAME - 1}}}$"
NAME_LAW = f"must be 1 to {LONGEST_NAME} of a-z, 0-9 and -, and begin with a letter or digit"
