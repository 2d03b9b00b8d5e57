"""Likely mistakes that `check` names: signs, units, indices; and no false alarms."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import eigenfit as ef
from eigenfit import gallery
from eigenfit.analysis.feasibility import find
from eigenfit_serving.cli.printing.check import check_problem, print_check
from eigenfit_serving.problem_file.reading import read_problem

EXAMPLES = Path(__file__).parents[2] / "examples"
MISTAKES = ("pairs", "unit", "indices", "multiplicity")


def chain(r):
    """Springs from a wall to three unit masses, in NumPy."""
    K = np.diag([r[0] + r[1], r[1] + r[2], r[2]])
    K[[0, 1, 1, 2], [1, 0, 2, 1]] = -r[1], -r[1], -r[2], -r[2]
    return np.linalg.eigvalsh(K)


CHAIN = ef.Affine(
    [
        np.diag([1.0, 0, 0]),
        [[1, -1, 0], [-1, 1, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 1, -1], [0, -1, 1]],
    ]
)
TRUE, NEAR = np.array([3.0, 2.0, 1.5]), np.array([2.97, 2.04, 1.49])


def found(problem, targets, initial, kind, **options):
    return [f for f in find(problem, targets, initial, **options) if f.kind == kind]


@pytest.mark.parametrize("power", [0, 150])
def test_reversed_pairs_are_told(power):
    w = 10.0**power * chain(TRUE)
    lines = [w[1] - w[0], w[2] - w[0], w[2] - w[1]]
    start = 10.0**power * NEAR
    right = ef.Problem(CHAIN, ef.Differences([(1, 0), (2, 0), (-1, 1)]))
    assert not found(right, lines, start, "pairs")
    turned = ef.Problem(CHAIN, ef.Differences([(0, 1), (0, 2), (1, -1)]))
    (finding,) = found(turned, lines, start, "pairs")
    assert finding.severity == "impossible"
    assert finding.text.startswith("All differences have targets of the wrong sign")
    # At best all of them are zero.
    least = float(finding.text.split("below ")[1][:-1])
    np.testing.assert_allclose(least, np.sum(np.square(lines)), rtol=5e-3)
    some = ef.Problem(CHAIN, ef.Differences([(1, 0), (0, 2), (2, 1)]))
    (finding,) = found(some, lines, start, "pairs")
    assert "1 of 3" in finding.text
    assert "target 1," in finding.text


def test_reversed_pairs_between_blocks_are_not_judged_but_inside_of_one_are():
    blocks = [ef.Block(CHAIN, label="a"), ef.Block(CHAIN, label="b")]
    pairs = [(("a", 0), ("b", 1)), (("b", 0), ("b", 2))]
    problem = ef.Problem(blocks, observations=[ef.Differences(pairs)])
    assert not found(problem, [0.5, -1.0], NEAR, "pairs")
    (finding,) = found(problem, [0.5, 1.0], NEAR, "pairs")
    assert "1 of 2" in finding.text


def test_levels_measured_from_a_higher_one_are_negative():
    problem = ef.Problem(CHAIN, ef.RelativeTo(1))
    assert not found(problem, [-1.0, 2.0], NEAR, "pairs")
    (finding,) = found(problem, [1.0, 2.0], NEAR, "pairs")
    assert "1 of 2" in finding.text


def test_a_small_difference_of_the_wrong_sign_is_an_error_of_measurement():
    problem = ef.Problem(CHAIN, ef.Differences([(1, 0), (2, 1)], sigma=0.01))
    assert not found(problem, [-0.02, 1.0], NEAR, "pairs")
    assert found(problem, [-0.06, 1.0], NEAR, "pairs")


UNITS = [
    (2 * np.pi, "2 pi"),
    (4 * np.pi**2, r"(2 pi)^2"),
    (1e3, "1000"),
    (1e-3, "1000"),
    (29979.2458, "MHz and 1/cm"),
    (1 / 8.0655, "1/cm and meV"),
]


@pytest.mark.parametrize(("factor", "name"), UNITS, ids=str)
def test_another_unit_of_all_targets_is_told(factor, name):
    problem = ef.Problem(CHAIN)
    w, scale = chain(TRUE), 1e-140
    (finding,) = found(problem, factor * scale * w, scale * NEAR, "unit")
    assert finding.severity == "warning"
    assert name in finding.text
    assert not found(problem, scale * w, scale * NEAR, "unit")
    # Where the start is far, ratios are no constant.
    far = scale * np.array([0.3, 5.0, 1.0])
    assert not found(problem, factor * scale * w, far, "unit")


def test_another_unit_of_one_block_is_told():
    # Both starts are off by the same factor 1.7, which is no unit.
    blocks = [ef.Block(CHAIN, label="a"), ef.Block(CHAIN, ef.Levels([0, 1]), "b")]
    problem, w = ef.Problem(blocks), 1.7 * chain(TRUE)
    (finding,) = found(problem, [*w, *(29.98 * w[:2])], NEAR, "unit")
    assert "Levels of block b" in finding.text
    assert "GHz and 1/cm" in finding.text
    assert not found(problem, [*w, *w[:2]], NEAR, "unit")


def test_another_unit_that_breaks_a_trace_is_told():
    # A matrix of trace 3; all levels are observed.
    slopes = [np.diag([1.0, -1, 0]), np.diag([0.0, 1, -1])]
    problem = ef.Problem(ef.Affine(slopes, np.eye(3)))
    start = np.array([-0.5, -0.6])  # levels .5, .9, 1.6
    targets = 1e3 * np.array([0.51, 0.9, 1.59])
    assert found(problem, targets, start, "trace")
    (finding,) = found(problem, targets, start, "unit")
    assert "1000" in finding.text


def test_a_single_parameter_may_start_anywhere():
    problem = ef.Problem(ef.Affine([np.diag([1.0, 2.0, 4.0])]))
    assert not found(problem, [1e3, 2e3, 4e3], [1.0], "unit")


def test_measured_doublets_are_no_conditions():
    (finding,) = found(ef.Problem(CHAIN), [1.0, 2.0, 2.0], NEAR, "multiplicity")
    assert "Give sigma if they were measured" in finding.text
    measured = ef.Problem(CHAIN, ef.Levels(sigma=0.1))
    assert not found(measured, [1.0, 2.0, 2.0], NEAR, "multiplicity")


def test_measured_data_are_not_called_impossible_for_their_errors():
    # Levels of a matrix without trace, which sum to .03.
    traceless = ef.Affine([[[1, 0], [0, -1]], [[0, 1], [1, 0]]])
    targets, start = [-1.0, 1.03], [0.3, 0.4]
    (finding,) = found(ef.Problem(traceless), targets, start, "trace")
    assert finding.severity == "impossible"
    good = ef.Problem(traceless, ef.Levels(sigma=0.02))
    assert not found(good, targets, start, "trace")
    # Of 5.3 sigma, with two levels that move: .03 / (.004 sqrt 2).
    bad = ef.Problem(traceless, ef.Levels(sigma=0.004))
    (finding,) = found(bad, targets, start, "trace")
    assert "errors of the given sigma hardly explain" in finding.text
    # More data than unknowns, without sigma.
    single = ef.Problem(ef.Affine([[[1, 0], [0, -1]]]))
    (finding,) = found(single, targets, [0.3], "trace")
    assert finding.severity == "note"
    assert "the fit finds the least-squares minimum" in finding.text


CASES = {
    "met": (ef.Problem(CHAIN), chain(TRUE), NEAR),
    "trace": (
        ef.Problem(ef.Affine([[[1, 0], [0, -1]], [[0, 1], [1, 0]]])),
        np.array([0.5, 2.5]),
        np.array([0.3, 0.4]),
    ),
    "norm": (
        ef.Problem(ef.Affine([np.diag([1.0, 2, 4]), np.eye(3)])),
        np.array([1.0, 2.0, 2.5]),
        np.array([0.5, 0.4]),
    ),
    "few targets": (ef.Problem(CHAIN, ef.Levels([0])), chain(TRUE)[:1], NEAR),
    "symmetric start": (
        ef.Problem(ef.Affine([[[1, 0], [0, -1]], [[0, 1], [1, 0]]])),
        np.array([-2.5, 2.5]),
        np.array([0.3, 0.0]),
    ),
    "bounds": (
        ef.Problem(CHAIN, parameters=ef.Parameters(bounds=(0, None))),
        np.array([-4.0, 1.0, 2.0]),
        NEAR,
    ),
    "equal": (
        ef.Problem(CHAIN),
        np.array([1.0, 2.0, 2.0]),
        NEAR,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_units_change_no_finding(name):
    problem, targets, start = CASES[name]
    plain = [(f.kind, f.severity) for f in find(problem, targets, start)]
    assert (name == "met") == (not plain)
    for scale in (1e-150, 3e-9, 1e150):
        scaled = find(problem, scale * targets, scale * start)
        assert [(f.kind, f.severity) for f in scaled] == plain, scale


def test_units_of_parameters_change_no_finding():
    for power in (-8, 0, 8):
        units = np.array([1.0, 10.0**power, 10.0**-power])
        structure = ef.Affine(CHAIN.basis * units[:, None, None])
        for bounds in (None, (0, None)):
            parameters = ef.Parameters(bounds=bounds)
            problem = ef.Problem(structure, parameters=parameters)
            assert find(problem, chain(TRUE), NEAR / units) == []


INDICES = {
    "edges": (
        'kind = "laplacian"\nedges = [[1, 2], [2, 3]]',
        "structure.edges never name vertex 0",
    ),
    "edges from 0": ('kind = "laplacian"\nedges = [[0, 1], [1, 2], [2, 3]]', None),
    "rows": (
        'kind = "assembly"\nrows = [1, 2, 3]\ncolumns = [1, 2, 3]\n'
        "parameters = [0, 1, 2]\ncoefficients = [1, 1, 1]",
        "structure.rows and columns never name row 0",
    ),
    "parameters": (
        'kind = "assembly"\nrows = [0, 1, 2, 3]\ncolumns = [0, 1, 2, 3]\n'
        "parameters = [1, 2, 3, 1]\ncoefficients = [1, 1, 1, 1]",
        "structure.parameters never name parameter 0",
    ),
    "levels": (
        'kind = "toeplitz"\norder = 4\n[observation]\nindices = [1, 2, 3]',
        "levels of observation are 1 to 3",
    ),
    "levels of a free structure": (
        'kind = "laplacian"\nedges = [[0, 1], [1, 2], [2, 3]]\n'
        "[observation]\nindices = [1, 2, 3]",
        None,
    ),
    "levels with 0": (
        'kind = "toeplitz"\norder = 4\n[observation]\nindices = [0, 1, 2]',
        None,
    ),
    "pairs": (
        'kind = "toeplitz"\norder = 4\n[observation]\nkind = "differences"\n'
        "pairs = [[2, 1], [3, 1], [3, 2]]",
        "levels of observation are 1 to 3",
    ),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices_from_1(read, name):
    structure, wanted = INDICES[name]
    number = {"edges": 4, "rows": 4, "parameters": 4, "edges from 0": 4}.get(name, 3)
    targets = ", ".join(map(str, range(1, number + 1)))
    content = read(f"schema = 1\ntargets = [{targets}]\n[structure]\n{structure}\n")
    findings = check_problem(content).findings
    texts = [f.text for f in findings if f.kind == "indices"]
    assert bool(texts) == (wanted is not None)
    if wanted:
        assert wanted in texts[0]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda p: p.stem)
def test_no_false_alarms_in_examples(path):
    findings = check_problem(read_problem(path)).findings
    assert [f.kind for f in findings if f.kind in MISTAKES] == []


# Silicon is large; its sister is the same problem with other numbers.
@pytest.mark.parametrize("name", sorted({*gallery.names()} - {"si-bands"}))
def test_no_false_alarms_in_the_gallery(name):
    entry = gallery.load(name)
    findings = find(entry.problem, entry.targets, entry.initial)
    kinds = [f.kind for f in findings if f.kind in ("pairs", "unit")]
    assert kinds == []
    assert all(f.severity != "impossible" for f in findings)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("targets = [1, 2, 3]", "1 degree of freedom"),
        ("targets = [1, 2]\nobservation = {indices = [0, 1]}", "0 degrees of freedom"),
        (
            "targets = [1]\nobservation = {indices = [0]}",
            "2 unknowns, 1 target, 1 unknown more than independent data",
        ),
    ],
)
def test_freedom_is_counted(read, text, wanted):
    basis = "basis = [[[1, 0, 0], [0, 2, 0], [0, 0, 4]], "
    basis += "[[1, 1, 0], [1, 0, 0], [0, 0, 0]]]"
    content = read(f'schema = 1\n{text}\n[structure]\nkind = "affine"\n{basis}\n')
    screen = io.StringIO()
    print_check(content, check_problem(content), Console(file=screen, width=120))
    assert wanted in screen.getvalue()
