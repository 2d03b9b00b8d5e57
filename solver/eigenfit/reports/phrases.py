"""Describes in words what a fit found."""

from __future__ import annotations

from collections.abc import Sequence

_NAMES = {"minimum": "least-squares minimum"}
_MAX_NAMED = 6  # most outliers that are named
_ABSURD = 1e-6
"""Probability below which chance is ruled out."""


def spoken(name: str, robust: bool = False) -> str:
    """Writes the name of a result for readers.

    Args:
        name: Name of the result.
        robust: Whether a loss is robust, so that a minimum is not one of squares.

    Example:
        >>> spoken("minimum"), spoken("converged")
        ('least-squares minimum', 'converged')
    """
    return name if robust else _NAMES.get(name, name)


def family_text(result: str, dimension: int) -> str:
    """Writes that an answer is one of a continuum; empty if it is isolated.

    Args:
        result: Name of the result.
        dimension: Dimension of the continuum, 0 for none.

    Example:
        >>> family_text("converged", 1).split(";")[0]
        'The targets are met by a 1-dimensional family of answers'
    """
    if not dimension:
        return ""
    family = f"{family_of(dimension)} of answers"
    begin = f"{family[0].upper()}{family[1:]} is equally good"
    if result == "converged":
        begin = f"The targets are met by {family}"
    return f"{begin}; this is one of them: the start decides which."


def family_of(dimension: int) -> str:
    """Names a continuum by its dimension, with the article.

    Example:
        >>> family_of(2), family_of(18)
        ('a 2-dimensional family', 'an 18-dimensional family')
    """
    vowel = str(dimension).startswith("8") or dimension in (11, 18)
    return f"a{'n' * vowel} {dimension}-dimensional family"


def degrees_of_freedom(number: int) -> str:
    """Writes a number of degrees of freedom."""
    return f"{number} degree{'s' * (number != 1)} of freedom"


def outliers_text(names: Sequence[str], number: int) -> str:
    """Counts the data that a robust loss was not misled by, and names the first.

    Args:
        names: Names of the outliers.
        number: Number of all data.

    Example:
        >>> outliers_text(["level 2"], 4)
        'robust loss, 1 outlier among 4 data: level 2'
    """
    text = count(len(names), "outlier") if names else "no outlier"
    text = f"robust loss, {text} among {number} data"
    shown = [*names[:_MAX_NAMED], *["..."] * (len(names) > _MAX_NAMED)]
    return f"{text}: {', '.join(shown)}" if names else text


def no_chi_square(losses: Sequence[str]) -> str:
    """Says why a fit with robust losses has no chi-square; empty without any.

    Args:
        losses: Their names.

    Example:
        >>> no_chi_square(["huber", "huber"]).partition(", which ")[2]
        'the robust loss (huber) does not assume.'
    """
    if not losses:
        return ""
    names = " and ".join(dict.fromkeys(losses))
    return (
        f"Chi-square, p, AIC and BIC are for Gaussian errors, which the robust loss "
        f"({names}) does not assume."
    )


class Agreement:
    """How well a model explains data with standard deviations.

    Args:
        chi_square: Sum of squares of the residuals over their standard deviations.
        freedom: Number of degrees of freedom.

    Example:
        >>> Agreement(24.9, 24).text
        'chi-square 24.9 for 24 degrees of freedom, p = 0.41'
    """

    def __init__(self, chi_square: float, freedom: int) -> None:
        from scipy.stats import chi2

        self._chi_square, self._freedom = chi_square, freedom
        self.probability = float(chi2.sf(chi_square, freedom)) if freedom > 0 else None
        self._below = float(chi2.cdf(chi_square, freedom)) if freedom > 0 else None

    @property
    def text(self) -> str:
        """Chi-square, its degrees of freedom and its probability."""
        text = f"chi-square {self._chi_square:.4g}"
        text += f" for {degrees_of_freedom(self._freedom)}"
        if self.probability is None:
            return text
        if self.probability < 1e-99:
            return f"{text}, p < 1e-99"
        return f"{text}, p = {self.probability:.2g}"

    @property
    def warning(self) -> str:
        """What is wrong if chance is ruled out; else empty."""
        if self.probability is None or self._below is None:
            return ""
        if self.probability < _ABSURD:
            return (
                "The model does not explain the data, or the standard deviations are "
                "too small: chance makes chi-square as large in less than one of a "
                "million cases."
            )
        if self._below < _ABSURD:
            return (
                "The standard deviations are too large, or the data were computed, not "
                "measured: chance makes chi-square as small in less than one of a "
                "million cases."
            )
        return ""


def count(number: int, noun: str) -> str:
    """Writes a number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
