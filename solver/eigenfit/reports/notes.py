"""What constrains each parameter, in words."""

from __future__ import annotations

import numpy as np

from eigenfit.problem.unknowns.parameters import Parameters


def parameter_notes(known: Parameters, number: int) -> tuple[str, ...]:
    """Describes what constrains each of the parameters; empty where nothing does.

    Args:
        known: What was known of the parameters before the fit.
        number: Number P of parameters of the structures.

    Example:
        >>> fixed, ties = {"a": 1.0}, {"c": ("b", 2.0)}
        >>> parameter_notes(Parameters(["a", "b", "c"], fixed=fixed, ties=ties), 3)
        ('fixed', '', '= 2 b')
    """
    resolved = known.resolve(number)
    limits = {}
    if resolved.bounds is not None:
        pairs = zip(*resolved.bounds, strict=True)
        limits = dict(zip(resolved.names, pairs, strict=True))
    return tuple(_note(known, name, limits.get(name)) for name in resolved.all_names)


def _note(known: Parameters, name: str, limits: tuple[float, float] | None) -> str:
    if name in known.fixed:
        return "fixed"
    if name in known.ties:
        terms = [
            f"{factor:g} {other}" if other else f"{factor:g}"
            for other, factor in known.ties[name].items()
        ]
        return f"= {' + '.join(terms)}".replace("+ -", "- ")
    notes = []
    if limits is not None and np.isfinite(limits).any():
        notes.append("in {:g} to {:g}".format(*limits))
    joint = 0
    for prior in known.priors:
        factor = prior.coefficients.get(name)
        if not factor:
            continue
        if sum(map(bool, prior.coefficients.values())) > 1:
            joint += 1
        else:
            mean, sigma = prior.mean / factor, prior.sigma / abs(factor)
            notes.append(f"prior {mean:g} +- {sigma:g}")
    if joint:
        notes.append(f"in {joint} joint prior{'s' * (joint > 1)}")
    return ", ".join(notes)
