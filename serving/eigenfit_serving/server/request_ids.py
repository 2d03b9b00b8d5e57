"""What a request is called in the log and in its answer."""

import os
import re

HEADER = "x-request-id"

_USABLE = re.compile(r"[\x21-\x7e]{1,128}")


def request_id(given: str) -> str:
    """Gives the id that the caller chose, or a new one.

    Args:
        given: By the caller; what is empty, long or not printable is replaced.

    Example:
        >>> request_id("job-7")
        'job-7'
        >>> len(request_id(""))
        16
    """
    return given if _USABLE.fullmatch(given) else os.urandom(8).hex()
