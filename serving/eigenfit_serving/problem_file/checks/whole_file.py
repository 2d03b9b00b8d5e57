"""Checks that need a whole problem file."""

from __future__ import annotations

import re
from functools import partial

from eigenfit_serving.errors import BadValue, check_all
from eigenfit_serving.problem_file.blocks import Term
from eigenfit_serving.problem_file.content import ProblemContent
from eigenfit_serving.problem_file.section import MAX_PARAMETERS


def check_form(content: ProblemContent) -> None:
    """Checks that there is one `[structure]` or several `[[blocks]]`.

    Raises:
        BadValue: If not, or if observations stand in the wrong place.
    """
    if content.structure is None and content.blocks is None:
        raise BadValue(
            'is missing. Add it: a table with kind = "symmetric" or another, or '
            "several [[blocks]].",
            "structure",
        )
    for key, text in (
        ("structure", "have tables [structure] of their own: [blocks.structure]"),
        (
            "observation",
            "have tables of their own: [[blocks.observations]], or "
            "[[observations]] for differences between blocks",
        ),
    ):
        if content.blocks is not None and getattr(content, key) is not None:
            raise BadValue(f"is given and blocks too. Blocks {text}.", key)
    if content.observation is not None and content.observations is not None:
        raise BadValue(
            "is given and observation too. Write all as [[observations]].",
            "observations",
        )


def check_blocks(content: ProblemContent) -> None:
    """Checks that blocks share their parameters and are observed.

    Raises:
        BadValue: If not, or if two blocks have the same label.
    """
    labels: set[str] = set()
    first = content.matrices[0]
    for i, matrix in enumerate(content.matrices):
        if matrix.label in labels:
            raise BadValue(
                "is the label of another block. Give each one its own.",
                f"blocks[{i}].label",
                matrix.label,
            )
        labels.add(matrix.label)
        p = matrix.structure.num_parameters
        if p > MAX_PARAMETERS:
            raise BadValue(
                f"has {p} parameters, at most {MAX_PARAMETERS} can be fitted. Use a "
                f"smaller order or another kind.",
                matrix.key,
            )
        if p != first.structure.num_parameters:
            raise BadValue(
                f"has {p} parameters, the first block has "
                f"{first.structure.num_parameters}. All blocks share them: use "
                f'kind = "reparametrized" where a matrix depends on fewer.',
                matrix.key,
            )
    if not content.terms:
        raise BadValue("have no observation. Add [[blocks.observations]].", "blocks")


def check_targets(content: ProblemContent) -> None:
    """Checks that each observed value has a target, in a possible order.

    Raises:
        BadValue: If not, or if targets stand in two places.
    """
    names = content.target_names
    own = [term for term in content.terms if term.section.targets is not None]
    if content.given_targets is None:
        missing = [term for term in content.terms if term.own_targets() is None]
        if missing and not own:
            raise BadValue(
                "is missing. Add it: a list of ascending numbers, one for each "
                "observed level, or a list in each observation.",
                "targets",
            )
        if missing:
            raise BadValue(
                f"is missing. Add it: {len(missing[0].names)} numbers. Other "
                f"observations have targets of their own.",
                missing[0].targets_key,
            )
    elif own:
        raise BadValue(
            "is given and targets at the top of the file too. Remove one of them.",
            own[0].targets_key,
        )
    elif len(content.given_targets) != len(names):
        raise BadValue(_wrong_number(content, len(content.given_targets)), "targets")
    check_all(*(partial(_check_own_targets, content, term) for term in content.terms))


def _wrong_number(content: ProblemContent, given: int) -> str:
    number = len(content.target_names)
    if len(content.terms) == 1:
        term = content.terms[0]
        if term.section.kind == "levels":
            return (
                f"has {given} numbers for {number} observed levels. Give one for "
                f"each, or choose levels with {term.key}.indices."
            )
        return f"has {given} numbers for {number} values of {term.key}. Give all."
    counts = [f"{len(term.names)} of {term.key}" for term in content.terms[:6]]
    more = ", ..." * (len(content.terms) > 6)
    return (
        f"has {given} numbers, but {number} values are observed: "
        f"{', '.join(counts)}{more}. Give one for each, in this order."
    )


def _check_own_targets(content: ProblemContent, term: Term) -> None:
    order = term.matrix.structure.order if term.matrix else 1
    key, values = term.targets_key, content.targets[term.part]
    if content.given_targets is None:
        term.section.check_targets(values, order, key)
        return
    try:
        term.section.check_targets(values, order, "targets")
    except BadValue as error:
        raise _moved(error, term.first) from None


def check_start(content: ProblemContent) -> None:
    """Checks the given starts, or that there is room for random ones.

    Raises:
        BadValue: If they do not fit the unknowns, or both are given.
    """
    content.start.check(content.unknowns)
    if content.start.parameters is None:
        return
    for key in ("starts", "seed"):
        if key in content.fit.model_fields_set:
            raise BadValue(
                "is for random starts, but start.parameters are given. Remove one "
                "of them.",
                f"fit.{key}",
                getattr(content.fit, key),
            )


def _moved(error: BadValue, first: int) -> BadValue:
    """Shifts the indices of targets in an error by `first`, to those of the file."""

    def move(match: re.Match[str]) -> str:
        return f"targets[{int(match[1]) + first}]"

    pattern = r"targets\[(\d+)\]"
    text = re.sub(pattern, move, str(error))
    return BadValue(text, re.sub(pattern, move, error.key), error.value)
