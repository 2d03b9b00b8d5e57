"""Commands that run one of our modules in a process of its own."""

from __future__ import annotations

import sys

_CODE = (
    "import sys; sys.path = [x for x in sys.path if x]; import runpy; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module_command(module: str, *arguments: str) -> list[str]:
    """Returns a command like `python -m` that ignores the current folder.

    `python -m` looks for every module in the current folder first: a user's file
    called `queue.py` would shadow Python's. (`python -P` exists from Python 3.11 on
    only.)

    Args:
        module: Full name of the module.
        *arguments: Its command line arguments.
    """
    return [sys.executable, "-c", _CODE, module, *arguments]
