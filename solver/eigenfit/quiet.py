"""Loads TensorFlow without the log records of its libraries.

TF_CPP_MIN_LOG_LEVEL controls them only once they are loaded; before that they write to
file descriptor 2 whatever it says.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

LEVEL = "TF_CPP_MIN_LOG_LEVEL"

_RECORD = re.compile(
    r"(?P<absl>[IWEF])\d{4} [\d:]+\.\d+ .*\] "
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: (?P<tsl>[IWEF]) "
    r"|(?P<start>WARNING: All log messages before absl::InitializeLog)"
    r"|(?P<more>To enable the following instructions: )"
)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Holds back what is written to file descriptor 2.

    Afterwards everything except TensorFlow's log records is written, and of these the
    records from the level set in TF_CPP_MIN_LOG_LEVEL on (0: information, 1: warnings,
    2: errors, 3: only fatal ones); 3 by default. If an exception is raised meanwhile,
    everything is written.
    """
    # Read now, since JAX, which Keras may import, sets a level if there is none.
    level = os.environ.get(LEVEL, "3")
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            text = held.read().decode(errors="backslashreplace")
            os.write(2, (text if failed else shown(text, level)).encode())


def shown(text: str, level: str) -> str:
    r"""Removes the log records that a level hides.

    Example:
        >>> shown("I0000 00:00:17.5 61 a.cc:7] no GPU\nsomething else\n", "3")
        'something else\n'
    """
    least = int(level) if level.isdecimal() else 3
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if _severity(line) >= least)


def _severity(line: str) -> int:
    record = _RECORD.match(line)
    if record is None:
        return 4
    letter = record["absl"] or record["tsl"] or ("W" if record["start"] else "I")
    return "IWEF".index(letter)


if "tensorflow" not in sys.modules:
    with held_back():
        import tensorflow  # noqa: F401
