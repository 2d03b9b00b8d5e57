"""Reads a problem file: TOML in, a checked problem out.

A file says what is searched for (`targets`, `[structure]`, `[observation]`, or several
`[[blocks]]`), what is known of the parameters (`[parameters]`), from where (`[start]`)
and how (`[fit]`). It is read strictly: unknown keys and wrong types are refused, each
in a line that names file, key, value and remedy. TensorFlow is imported only when the
solver is asked for.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError, model_validator

from eigenfit_serving.errors import BadValue, InputError, check_all
from eigenfit_serving.problem_file.checks.arrays import check_fits
from eigenfit_serving.problem_file.checks.methods import check_method
from eigenfit_serving.problem_file.checks.whole_file import (
    check_blocks,
    check_form,
    check_start,
    check_targets,
)
from eigenfit_serving.problem_file.content import ProblemContent
from eigenfit_serving.problem_file.explain import explain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]


class ProblemFile(ProblemContent):
    """A whole problem file, checked.

    Example:
        >>> problem = ProblemFile.model_validate(
        ...     {
        ...         "schema": 1,
        ...         "targets": [1.0, 2.0],
        ...         "structure": {"kind": "symmetric", "order": 2},
        ...         "fit": {"starts": 4},
        ...     }
        ... )
        >>> problem.initial_parameters().shape
        (4, 3)
    """

    @model_validator(mode="after")
    def _check(self) -> ProblemFile:
        check_form(self)
        check_blocks(self)
        fit = self.fit
        check_all(
            partial(check_targets, self),
            partial(check_start, self),
            partial(
                check_method, fit.method, self.matrices, self.terms, self.parameters
            ),
        )
        numbers = self.numbers()
        check_all(
            *(partial(check_fits, array, key, fit.dtype) for key, array in numbers)
        )
        if fit.tolerance is not None and not np.asarray(fit.tolerance, fit.dtype) > 0:
            raise BadValue(
                f'is zero in {fit.dtype}. Use a larger one, or dtype = "float64".',
                "fit.tolerance",
                fit.tolerance,
            )
        return self


def read_problem(path: str | Path, **fit: Any) -> ProblemFile:
    r"""Reads a problem file.

    Args:
        path: Path of a TOML file; data files in it are relative to its folder.
        **fit: Settings that take precedence over those of `[fit]`, unless None.

    Raises:
        InputError: If the file cannot be read or is not a valid problem; one line per
            error.

    Example:
        >>> import tempfile
        >>> lines = [
        ...     "schema = 1",
        ...     "targets = [1.0, 2.0]",
        ...     'structure = {kind = "symmetric", order = 2}',
        ... ]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "pair.toml")
        ...     _ = path.write_text("\n".join(lines))
        ...     problem = read_problem(path, starts=3)
        >>> problem.initial_parameters().shape
        (3, 3)
    """
    try:
        content = _loaded(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file. Give the path of a problem file."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a problem "
            f"file."
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: is not UTF-8 text. Give a problem file in TOML, saved as UTF-8."
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: is not valid TOML: {error}. Correct it there."
        ) from None

    given = {key: value for key, value in fit.items() if value is not None}
    section = content.setdefault("fit", {})
    if isinstance(section, dict):
        section.update(given)
    try:
        return ProblemFile.model_validate(
            content, context={"folder": Path(path).parent}
        )
    except ValidationError as error:
        options = {f"fit.{key}" for key in given}
        raise InputError(*explain(error, ProblemFile, str(path), options)) from None


def files_of(path: Path) -> list[Path]:
    """Lists a problem file that can be read, and the data files that it names."""
    return [path, *(path.parent / name for name in sorted(_data_files(_loaded(path))))]


def _loaded(path: str | Path) -> dict[str, Any]:
    # Some editors begin a file with a byte order mark.
    return tomllib.loads(Path(path).read_bytes().decode("utf-8-sig"))


def _data_files(content: Any) -> set[str]:
    # Files of tables `{file = "K.npy", ...}`, at any depth.
    if isinstance(content, list):
        return set().union(*map(_data_files, content))
    if not isinstance(content, dict):
        return set()
    own = content.get("file")
    found = {own} if isinstance(own, str) else set()
    return found.union(*map(_data_files, content.values()))
