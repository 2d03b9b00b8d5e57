"""Problems of several matrices, pencils and bounds by every method that takes them."""

import itertools

import numpy as np
import pytest

import eigenfit as ef

METHODS = {
    "auto": "auto",
    "alternating": ef.Alternating(),
    "levenberg-marquardt": ef.LevenbergMarquardt(),
    "gauss-newton": ef.GaussNewton(),
    "newton": ef.Newton(),
    "adam": ef.Adam(learning_rate=0.05),
    "lbfgs": ef.LBFGS(),
}
X, Y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.0, 1j], [-1j, 0.0]])
SPRINGS = np.array([[[1.0, 0.0], [0.0, 0.0]], [[1.0, -1.0], [-1.0, 1.0]]])


def pencil():
    """Two springs from two frequencies; M is full. Reference by hand below."""
    structure = ef.Generalized(ef.Affine(SPRINGS), [[2.0, 0.3], [0.3, 1.0]])
    return ef.Problem(
        structure, ef.Frequencies(), parameters=ef.Parameters(bounds=(0.1, 50.0))
    )


def blocks():
    """A real and a complex matrix that share a coupling and a shift."""
    real = ef.Affine([X, np.eye(2)], offset=np.diag([0.0, 1.0]))
    hermitian = ef.Affine([Y, np.eye(2)], offset=np.diag([0.0, 3.0]))
    return ef.Problem(
        [
            ef.Block(real, ef.Levels(), label="a"),
            ef.Block(hermitian, ef.Levels([1]), label="b"),
        ],
        observations=[ef.Differences([(("b", 1), ("a", 0))])],
        parameters=ef.Parameters(["coupling", "shift"]),
    )


def values(name, r):
    """What is observed, by NumPy alone."""
    if name == "pencil":
        K, M = np.tensordot(r, SPRINGS, 1), np.array([[2.0, 0.3], [0.3, 1.0]])
        w = np.sort(np.linalg.eigvals(np.linalg.solve(M, K)).real)
        return np.sqrt(w) / (2 * np.pi)
    a = np.linalg.eigvalsh(np.diag([0.0, 1.0]) + r[0] * X + r[1] * np.eye(2))
    b = np.linalg.eigvalsh(np.diag([0.0, 3.0]) + r[0] * Y + r[1] * np.eye(2))
    return np.array([*a, b[1], b[1] - a[0]])


CASES = {
    "pencil": (pencil, [4.0, 3.0], [6.0, 2.0]),
    "blocks": (blocks, [0.4, -0.2], [0.9, 0.3]),
}


def ways():
    for case, method, way in itertools.product(
        CASES, METHODS, ("graph", "xla", "eager")
    ):
        slow = way == "xla"
        slow |= way == "eager" and method == "adam"
        slow |= case == "blocks" and method in ("newton", "lbfgs", "gauss-newton")
        marks = [pytest.mark.slow] if slow else []
        yield pytest.param(case, method, way, marks=marks)


@pytest.mark.sample(8)
@pytest.mark.parametrize(("case", "method", "way"), list(ways()))
def test_meets_the_targets(case, method, way):
    build, answer, start = CASES[case]
    problem = build()
    if method == "lbfgs" and problem.bounds is not None:
        with pytest.raises(ValueError, match="knows no bounds"):
            ef.Solver(problem, METHODS[method], compile=way)
        return
    targets = values(case, np.array(answer))
    solver = ef.Solver(problem, METHODS[method], compile=way)
    tolerance = 1e-8 if method in ("adam", "lbfgs") else 1e-20
    solution = solver.fit(start, targets, tolerance=tolerance)
    solution.raise_for_result()
    found = values(case, solution.parameters.numpy())
    assert np.sum((found - targets) ** 2) <= tolerance * (1 + 1e-3) + 1e-28
    batch = solver.fit(
        [start, [np.nan, 1.0], start], targets, tolerance=tolerance, max_steps=3000
    )
    assert batch.result.numpy().tolist() == [0, int(ef.Result.invalid_input), 0]


@pytest.mark.parametrize(
    "method",
    [
        ef.LoewnerNewton(),
        ef.ClusterNewton(),
        ef.LiftAndProject(),
        ef.IsospectralProjection(),
    ],
    ids=lambda method: type(method).__name__,
)
@pytest.mark.parametrize("case", CASES)
def test_methods_of_one_matrix_refuse(case, method):
    with pytest.raises(ValueError, match="one matrix whose levels are observed"):
        ef.Solver(CASES[case][0](), method)
