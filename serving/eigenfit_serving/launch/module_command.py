"""Commands that run a module of ours in a process of its own."""

from __future__ import annotations

import sys

_CODE = (
    "import sys; sys.path = [x for x in sys.path if x]; import runpy; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module_command(module: str, *arguments: str) -> list[str]:
    """Lists what runs a module as `python -m` does, but not in the current folder.

    `python -m` looks for every module in the current folder first: a file of the user
    that is called `queue.py` would take the place of Python's. (`python -P` is there
    from Python 3.11 on only.)

    Args:
        module: Its name.
        *arguments: Given to it.
    """
    return [sys.executable, "-c", _CODE, module, *arguments]
