"""Each finding is made where it belongs, and not beside it."""

import re

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.analysis.feasibility import find

CHAIN = ef.Laplacian([(0, 1), (1, 2)])
TRACELESS = ef.Affine([[[1, 0], [0, -1]], [[0, 1], [1, 0]]])
HOPPING = 4 * (np.ones([3, 3]) - np.eye(3))
RING = ef.Laplacian([(i, j) for i in range(6) for j in range(i)])
# O40 + 5 O44 of J = 5/2, a cubic crystal field: always a doublet and a quartet.
CUBIC = np.diag([60.0, -180, 120, 120, -180, 60])
CUBIC[[0, 4, 1, 5], [4, 0, 5, 1]] = 60 * np.sqrt(5)


def kinds(problem, targets, initial, **options) -> list[str]:
    return [f.kind for f in find(problem, targets, initial, **options)]


def blocks(*parts) -> ef.Problem:
    return ef.Problem([ef.Block(*part) for part in parts])


# Problem, start, targets that cannot be met, targets beside them that can.
IMPOSSIBLE = {
    "trace of a structure": (
        ef.Problem(TRACELESS),
        [0.3, 0.4],
        ("trace", [0.5, 2.5]),
        [-1.5, 1.5],
    ),
    "trace from means of clusters": (
        ef.Problem(ef.Affine([np.diag([1.0, 1, -2])]), ef.ClusterMeans([[0, 2], [1]])),
        [0.5],
        ("trace", [0.0, 1.0]),
        [-0.25, 0.5],
    ),
    "trace from frequencies": (
        ef.Problem(ef.Affine([np.diag([1.0, -1.0])], np.eye(2)), ef.Frequencies()),
        [0.5],
        ("trace", [0.1, 0.3]),
        (np.sqrt([0.5, 1.5]) / (2 * np.pi)).tolist(),
    ),
    "trace of several blocks": (
        blocks((ef.Toeplitz(2),), (ef.Toeplitz(2),)),
        [1.0, 0.5],
        ("trace", [1.0, 2.0, 1.0, 2.5]),
        [1.0, 2.0, 1.0, 2.0],
    ),
    "trace inside of bounds": (
        ef.Problem(ef.Tridiagonal(2), parameters=ef.Parameters(bounds=(0, 1))),
        [0.4, 0.5, 0.5],
        ("trace", [1.0, 2.0]),
        [0.1, 1.5],
    ),
    "trace of fixed parameters": (
        ef.Problem(ef.Toeplitz(2), parameters=ef.Parameters(fixed={"r0": 1.0})),
        [0.5],
        ("trace", [0.0, 1.0]),
        [0.0, 2.0],
    ),
    "least norm": (
        ef.Problem(ef.Additive(HOPPING)),
        [1.0, 2.0, 3.0],
        ("norm", [1.0, 2.0, 3.0]),
        [-11.0, 0.0, 3.0],
    ),
    "least norm inside of bounds": (
        ef.Problem(
            ef.Affine([HOPPING, np.diag([1.0, 0, -1])]),
            parameters=ef.Parameters(bounds={"r0": (1, 2)}),
        ),
        [1.5, 0.0],
        ("norm", [-1.0, 0.0, 1.0]),
        [-8.0, -8.0, 16.0],
    ),
    "norm of a structure": (
        ef.Problem(ef.Affine([np.eye(3)], np.diag([1.0, 2.0, 4.0]))),
        [0.5],
        ("norm", [1.0, 2.0, 5.0]),
        [2.0, 3.0, 5.0],
    ),
    "level that stays": (
        ef.Problem(CHAIN),
        [1.0, 1.5],
        ("fixed", [0.5, 1.0, 3.0]),
        [0.0, 1.0, 3.0],
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_targets(name):
    problem, start, (kind, bad), good = IMPOSSIBLE[name]
    first, *_ = find(problem, bad, start)
    assert (first.kind, first.severity) == (kind, "impossible")
    assert "The loss cannot fall below" in first.text
    assert "\n" not in first.text
    assert all(f.severity != "impossible" for f in find(problem, good, start))


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_the_loss_does_not_fall_below_what_is_said(name):
    problem, start, (_, bad), _ = IMPOSSIBLE[name]
    text = find(problem, bad, start)[0].text
    least = float(re.search(r"cannot fall below ([^, ]*\d)", text)[1])
    generator = np.random.default_rng(0)
    points = np.asarray(start) + 3 * generator.normal(size=[300, len(start)])
    if problem.bounds is not None:
        points = np.clip(points, *problem.bounds)
    losses = problem.loss(points, np.tile(bad, [300, 1])).numpy()
    assert np.nanmin(losses) >= 0.99 * least


def test_a_tolerance_decides_what_is_met():
    problem, targets = ef.Problem(TRACELESS), [-1.0, 1.001]
    assert "trace" in kinds(problem, targets, [0.3, 0.4])
    assert "trace" not in kinds(problem, targets, [0.3, 0.4], tolerance=1e-5)


def test_weights_count():
    weighted = ef.Problem(TRACELESS, ef.Levels(sigma=0.1))
    text = find(weighted, [0.5, 2.5], [0.3, 0.4])[0].text
    assert "cannot fall below 450," in text


def test_parts_of_a_spectrum_are_not_compared():
    problem = ef.Problem(TRACELESS, ef.Levels([1]))
    assert kinds(problem, [2.5], [0.3, 0.4]) == ["rank"]
    relative = ef.Problem(ef.Affine([np.diag([1.0, 2, -3])]), ef.RelativeTo(0))
    assert "trace" not in kinds(relative, [1.0, 2.0], [0.5])


def test_equal_targets():
    eight = np.arange(10.0, 81.0, 10.0)
    matrix = np.random.default_rng(0).normal(size=[8, 8])
    problem = ef.Problem(ef.Additive(matrix + matrix.T))
    assert kinds(problem, eight, eight) == []
    triple = eight.copy()
    triple[:3] = 10
    found = find(problem, triple, eight)
    assert [f.kind for f in found] == ["multiplicity"]
    assert "3-fold level only where 5 conditions hold" in found[0].text
    assert "11 conditions on 8 unknowns" in found[0].text
    # Fewer of the other levels leave room.
    few = ef.Problem(ef.Additive(matrix + matrix.T), ef.Levels([0, 1, 2, 3, 4]))
    assert "multiplicity" not in kinds(few, triple[:5], eight)


def test_equal_targets_of_a_hermitian_matrix():
    generator = np.random.default_rng(0)
    basis = generator.normal(size=[4, 3, 3]) + 1j * generator.normal(size=[4, 3, 3])
    problem = ef.Problem(ef.Affine(basis + basis.conj().swapaxes(1, 2)))
    found = find(problem, [1.0, 1.0, 2.0], np.ones(4))
    assert "2-fold level only where 3 conditions hold" in found[0].text
    assert "multiplicity" not in kinds(problem, [1.0, 1.5, 2.0], np.ones(4))
    real = ef.Problem(ef.Affine(basis.real + basis.real.swapaxes(1, 2)))
    assert "multiplicity" not in kinds(real, [1.0, 1.0, 2.0], np.ones(4))


def test_a_complex_matrix_that_is_real_in_another_basis_counts_as_real(rng):
    """Spin 1 with an axial splitting D, in fields along y and z: any D < 0 is met."""
    r = np.sqrt(0.5)
    Sy = r * np.array([[0, -1j, 0], [1j, 0, -1j], [0, 1j, 0]])
    Sz = np.diag([1.0, 0, -1])
    X = rng.normal(size=[3, 3]) + 1j * rng.normal(size=[3, 3])
    U = np.linalg.qr(X)[0]
    basis = np.array([U @ A @ U.conj().T for A in (Sz @ Sz, Sy, Sz)])
    problem = ef.Problem(ef.Affine(basis), ef.Levels([0, 1]))
    start, targets = [-1.2, 0.3, 0.2], [-1.7, -1.7]
    assert ef.Solver(problem).fit(start, targets).result == ef.Result.converged
    assert "multiplicity" not in kinds(problem, targets, start)
    # A further part of the last one leaves no basis in which all are real.
    Sx = r * np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    basis[2] += U @ (Sx + Sx @ Sz + Sz @ Sx) @ U.conj().T
    problem = ef.Problem(ef.Affine(basis), ef.Levels([0, 1]))
    assert "multiplicity" in kinds(problem, targets, start)


def test_levels_between_equal_ones_are_equal():
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=[5, 4, 4])
    problem = ef.Problem(ef.Affine(matrix + matrix.swapaxes(1, 2)), ef.Levels([0, 3]))
    text = find(problem, [1.0, 1.0], np.ones(5))[0].text
    assert "Levels 0 to 3" in text
    assert "4-fold level only where 9 conditions" in text


def test_symmetry_makes_multiple_levels_cheap():
    # A doublet and a quartet for every B40: nothing to ask for.
    problem = ef.Problem(ef.Affine([CUBIC]), ef.RelativeTo(0))
    assert kinds(problem, [0.0, 360, 360, 360, 360], [0.5]) == ["overdetermined"]
    # Two uncoupled levels cross where one number says so.
    crossing = ef.Affine([np.diag([1.0, -1.0]), np.eye(2)])
    assert kinds(ef.Problem(crossing), [1.0, 1.0], [0.5, 1.0]) == []
    coupled = ef.Affine([np.diag([1.0, -1.0]), np.eye(2)], [[0, 1.0], [1.0, 0]])
    assert "multiplicity" in kinds(ef.Problem(coupled), [1.0, 1.0], [0.5, 1.0])
    # The complete graph: its zero level is no condition, and the only matrix of these
    # levels is 6 - ones, so that 5 equal ones determine all 15 weights.
    assert kinds(ef.Problem(RING), [0, 6, 6, 6, 6, 6.0], np.ones(15)) == []


def test_what_the_data_do_not_determine():
    def problem(second):
        basis = [np.diag([1.0, 0, 0]), second, np.diag([0, 1.0, 1])]
        names = ef.Parameters(["A", "B", "C"])
        return ef.Problem(ef.Affine(basis, 0.1 * np.ones([3, 3])), parameters=names)

    found = find(problem(np.diag([2.0, 0, 0])), [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    [rank] = [f for f in found if f.kind == "rank"]
    assert rank.severity == "warning"
    assert "only 2 of 3 unknowns" in rank.text
    assert "Not determined near the start: A - 0.5 B." in rank.text
    assert {f.kind for f in found} == {"rank", "relations"}
    other = problem(np.diag([0.0, 1, 0]))
    assert kinds(other, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == []


def test_a_prior_determines():
    basis = [np.diag([1.0, 0]), np.diag([2.0, 0])]
    prior = ef.Parameters(prior={"r1": (1.0, 0.1)})
    structure = ef.Affine(basis, [[0.0, 0.1], [0.1, 1.0]])
    assert "rank" in kinds(ef.Problem(structure), [1.0, 2.0], [1.0, 2.0])
    problem = ef.Problem(structure, parameters=prior)
    assert "rank" not in kinds(problem, [1.0, 2.0], [1.0, 2.0])


def test_more_unknowns_than_targets_are_a_note():
    [found] = find(ef.Problem(ef.Symmetric(3)), [1.0, 2.0, 3.0], np.arange(6.0))
    assert (found.kind, found.severity) == ("rank", "note")
    assert "6 unknowns for 3 independent targets" in found.text


def test_a_start_of_symmetry():
    problem = ef.Problem(ef.Toeplitz(4))
    targets = [1.0, 2.0, 3.0, 4.0]
    found = find(problem, targets, [2.5, 0.0, 0.0, 0.0])
    assert [f.kind for f in found] == ["start"]
    assert "only 1 of 4 directions" in found[0].text
    assert kinds(problem, targets, [2.5, 0.1, 0.2, 0.3]) == []


def test_couplings_that_are_zero_are_seen_as_a_start_of_symmetry():
    structure = ef.Affine([np.diag([1.0, 2.0]), [[0.0, 1.0], [1.0, 0.0]]])
    problem = ef.Problem(structure, parameters=ef.Parameters(["E", "V"]))
    found = find(problem, [0.5, 3.0], [1.0, 0.0])
    assert [f.kind for f in found] == ["start"]
    assert "not V." in found[0].text
    assert kinds(problem, [0.5, 3.0], [1.0, 0.3]) == []


def test_derivatives_that_do_not_exist():
    shapes = ef.Problem(ef.Symmetric(2), ef.ModeShapes([0]))
    assert kinds(shapes, [1.0, 0.5], [1.0, 1.0, 0.0]) == ["derivative"]
    assert "derivative" not in kinds(shapes, [1.0, 0.5], [1.0, 2.0, 0.3])


def test_units_of_observations_do_not_matter():
    frame = ef.Generalized(CHAIN, [1e-5, 2e-5, 1e-5])
    block = ef.Block(frame, [ef.Levels([1, 2]), ef.ModeShapes([1, 2])])
    targets = [1e9, 3e9, 1.0, 0.1, -0.9, 0.4, -1.0, 0.3]
    assert kinds(ef.Problem([block]), targets, [1e4, 1.4e4]) == ["overdetermined"]


def test_a_free_shift_is_no_relation():
    generator = np.random.default_rng(0)
    basis = generator.normal(size=[3, 3, 3])
    structure = ef.Affine(basis + basis.swapaxes(1, 2))
    problem = ef.Problem(structure, ef.FreeShift(ef.Levels()))
    assert "relations" not in kinds(problem, [0.0, 1.0, 2.0], np.ones(3))


@pytest.mark.parametrize(
    ("basis", "offset", "targets", "start"),
    [
        (np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), [0.5, 1.0], 5.0),
        (np.ones([2, 2]), np.zeros([2, 2]), [-4.0, 0.0], 1.0),
    ],
)
def test_a_level_that_is_flat_near_the_start_is_no_constant(
    basis, offset, targets, start
):
    """Another level has to cross it."""
    problem = ef.Problem(ef.Affine([basis], offset=offset))
    assert "fixed" not in kinds(problem, targets, [start])


@pytest.mark.parametrize("seed", range(12))
def test_an_answer_in_a_corner_of_the_bounds_is_attainable(seed):
    """Diagonal matrices between bounds, with targets of one of the corners."""
    rng = np.random.default_rng(seed)
    diagonals = rng.integers(0, 4, [3, 3]).astype(float)
    diagonals[0] += 1.0
    low = rng.integers(0, 3, 3).astype(float)
    high = low + rng.integers(1, 5, 3)
    structure = ef.Affine([np.diag(d) for d in diagonals], np.diag([0.0, 40.0, 80.0]))
    names = ["a", "b", "c"]
    bounds = dict(zip(names, zip(low, high, strict=True), strict=True))
    problem = ef.Problem(structure, parameters=ef.Parameters(names, bounds=bounds))
    corner = np.where(rng.integers(0, 2, 3) > 0, high, low)
    targets = np.array([0.0, 40.0, 80.0]) + corner @ diagonals
    found = find(problem, targets, (low + high) / 2)
    assert all(x.severity != "impossible" for x in found), found
    # Outside of the box it is said, as far as it is certain.
    found = find(problem, targets + 100.0, (low + high) / 2)
    assert [x.kind for x in found if x.severity == "impossible"] == ["trace"]


@pytest.mark.parametrize("start", [-1.9, -0.9, 0.3])
def test_a_level_that_is_flat_in_most_of_the_box_is_not_fixed(start):
    """The highest level is 1 until the unknown, between -2 and 2, is above 1."""
    offset = np.array([[1.0, 0, 0], [0, 0, 0.3], [0, 0.3, -12.0]])
    structure = ef.Affine([np.diag([0.0, 1.0, 0.0])], offset)
    problem = ef.Problem(
        [ef.Block(structure, [ef.Levels([2]), ef.Levels([0])])],
        parameters=ef.Parameters(["a"], bounds={"a": (-2.0, 2.0)}),
    )
    w = np.linalg.eigvalsh(offset + np.diag([0.0, 1.9, 0.0]))
    found = find(problem, [w[2], w[0]], [start])
    assert all(x.severity != "impossible" for x in found), found


def _diagonal(*entries):
    return np.diag(np.array(entries, float))


TWO_FREE = ef.Affine([_diagonal(0, 1, 0), _diagonal(0, 0, 1)])
UNPROVEN = {
    # Levels keep their places near the start and at far points, not at the answer.
    "a level that always is, but not at its place": (
        ef.Problem(TWO_FREE, ef.Levels(sigma=0.01)),
        [0.01, 1.0, 2.0],
        [-1.0, -2.0],
        [1.0, 2.0],
    ),
    "a corner of the bounds": (
        ef.Problem(
            ef.Affine([_diagonal(0, 1)] * 6, _diagonal(0, 1)),
            ef.Levels([0], sigma=0.01),
            parameters=ef.Parameters(bounds={f"r{k}": (-1, 10) for k in range(6)}),
        ),
        [-2.0],
        [1.0] * 6,
        [-0.5] * 6,
    ),
    "a function that is not analytic": (
        ef.Problem(
            ef.Parametric(lambda r: tf.linalg.diag(tf.nn.relu(r - [0.0, 1e4])), 2, 2),
            ef.Levels([0, 1], sigma=0.01),
        ),
        [1.0, 2.0],
        [1.0, -2.0],
        [1.0, 10002.0],
    ),
    "a level in the middle": (
        ef.Problem(
            ef.Affine([_diagonal(0, 1, -1)], _diagonal(0, 1, 1)),
            ef.Levels([1], sigma=0.01),
        ),
        [0.5],
        [50.0],
        [0.5],
    ),
}


@pytest.mark.parametrize("name", UNPROVEN)
def test_what_few_points_show_is_not_called_impossible(name):
    problem, targets, start, answer = UNPROVEN[name]
    assert float(problem.loss(answer, targets)) <= 1.001
    found = find(problem, targets, start)
    assert all(finding.severity != "impossible" for finding in found), found
    text = " ".join(finding.text for finding in found)
    assert "cannot fall below" not in text
    assert "a family of answers of 6 dimensions" not in text  # it has 5


def test_a_level_that_always_is_may_be_any_of_the_targets():
    problem, targets = ef.Problem(TWO_FREE), [0.3, 1.0, 2.0]
    first, *_ = find(problem, targets, [-1.0, -2.0])
    assert (first.kind, first.severity) == ("fixed", "impossible")
    assert "One of the levels is 0 whatever the unknowns are" in first.text
    assert "cannot fall below 0.09" in first.text
    np.testing.assert_allclose(problem.loss([1.0, 2.0], targets), 0.09)


def test_a_matrix_without_unknowns_has_its_levels_everywhere():
    fixed = ef.Affine([np.zeros([2, 2])], _diagonal(1, 3))
    free = ef.Affine([np.eye(2)], _diagonal(1, 3))
    blocks = [
        ef.Block(fixed, [ef.Levels([0])], label="fixed"),
        ef.Block(free, [ef.Levels([1])], label="free"),
    ]
    first, *_ = find(ef.Problem(blocks), [1.5, 4.0], [0.2])
    assert (first.kind, first.severity) == ("fixed", "impossible")
    assert "Target 0 is 1.5" in first.text
    assert "is 1 whatever the unknowns are" in first.text
