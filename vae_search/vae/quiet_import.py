"""Import TensorFlow without the messages that its libraries write for their own developers."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_remarks_hidden() -> Iterator[None]:
    """Keep what TensorFlow's libraries write to standard error while they load (no GPU found, and such) from the user.

    They write to the file descriptor itself and before any setting of theirs is read, so it is turned away meanwhile.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
