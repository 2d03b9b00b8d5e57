"""Checks that a method can solve a problem, before TensorFlow is loaded."""

from __future__ import annotations

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.blocks import Matrix, Term
from eigenfit_serving.problem_file.parameters import ParametersSection
from eigenfit_serving.problem_file.structures.composed import GeneralizedSection

NEEDS_LEVELS = {
    "cluster-newton",
    "isospectral-projection",
    "lift-and-project",
    "loewner-newton",
}
"""Methods for one matrix whose levels are observed, without priors."""

KNOWS_NO_BOUNDS = NEEDS_LEVELS | {"lbfgs"}
"""Methods that cannot keep to bounds."""


def check_method(
    method: str,
    matrices: list[Matrix],
    terms: list[Term],
    parameters: ParametersSection,
) -> None:
    """Checks `fit.method` against the rest of the file.

    Raises:
        BadValue: If the method cannot solve such a problem.
    """
    kinds = [term.section.kind for term in terms]
    plain = len(matrices) == 1 and kinds == ["levels"]
    plain &= not parameters.prior and parameters.smoothness is None
    if method in NEEDS_LEVELS and any(x.section.loss != "linear" for x in terms):
        raise _refused(method, "minimises squares, but an observation has another loss")
    if method in NEEDS_LEVELS and not plain:
        raise _refused(
            method,
            'is for a single structure with one observation of kind = "levels" and no '
            "prior",
        )
    if method in KNOWS_NO_BOUNDS and parameters.bounds:
        raise _refused(method, "knows no bounds, but parameters.bounds are given")
    structure = matrices[0].structure
    if method == "isospectral-projection":
        full = structure.kind in ("symmetric", "hermitian")
        if not full or parameters.fixed or parameters.ties:
            raise _refused(
                method,
                'needs structure.kind = "symmetric" or "hermitian", and no parameter '
                "fixed or tied",
            )
    if method == "lift-and-project":
        weights = terms[0].section.weights
        if weights is None:
            weights = terms[0].section.sigma
        if weights is not None and weights.max() > weights.min():
            raise BadValue(
                f'needs equal {terms[0].key}.weights. Use "levenberg-marquardt".',
                "fit.method",
                method,
            )
        if isinstance(structure, GeneralizedSection) and structure.mass_varies:
            raise _refused(method, "needs a mass that does not vary")


def _refused(method: str, why: str) -> BadValue:
    return BadValue(
        f'{why}. Use "auto" or "levenberg-marquardt".', "fit.method", method
    )
