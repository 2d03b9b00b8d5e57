"""Hands a solver to other programs.

Example:
    >>> import tempfile
    >>> import eigenfit as ef
    >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     version = save_model(solver, folder)
    ...     solution = load_model(version).fit([1.0, 2.0, 3.0], [0.0, 1.0])
    >>> version.name, int(solution.num_steps)
    ('1', 1)
"""

from eigenfit_export.savedmodel import LoadedSolver, load_model, save_model

__all__ = ["LoadedSolver", "load_model", "save_model"]
