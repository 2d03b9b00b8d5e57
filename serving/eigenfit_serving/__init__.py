"""The command line of eigenfit and, later, its server."""

from eigenfit_serving.errors import InputError
from eigenfit_serving.problem_file import ProblemFile, read_problem

__all__ = ["InputError", "ProblemFile", "read_problem"]
