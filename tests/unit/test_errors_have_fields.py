"""Fields of errors: the message is composed of them, and they survive the way from a worker."""

import pickle

from vae_search.errors import CorruptStore


def test_a_damaged_file_is_named_by_a_field_and_in_the_message() -> None:
    error = CorruptStore("damaged: it is cut off.", path="sweeps/a/b", advice="Restore it from a copy.")

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert str(again) == str(error) == "sweeps/a/b: damaged: it is cut off. Restore it from a copy."
    assert (again.path, again.problem, again.advice) == (error.path, error.problem, error.advice)
    assert again.path == "sweeps/a/b"
