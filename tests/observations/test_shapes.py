"""Mode shapes: signs, scales, near degeneracy, and the assurance criterion."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

import eigenfit as ef

SWAP = [[[0.0, 1.0], [1.0, 0.0]]]


def two_levels(gap, normalisation):
    """[[1, r], [r, 1 + gap]]: its lower mode is (cos a, -sin a), tan 2a = 2 r / gap."""
    shapes = ef.ModeShapes([0], normalisation=normalisation)
    return ef.Problem(ef.Affine(SWAP, np.diag([1.0, 1 + gap])), shapes)


@pytest.mark.parametrize("gap", [1.0, 1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("ratio", [0.0, 0.3, -2.0])
@pytest.mark.parametrize("normalisation", ["max", "unit", "mass"])
def test_derivative_in_closed_form_down_to_a_small_gap(normalisation, ratio, gap):
    problem = two_levels(gap, normalisation)
    gap = (1 + gap) - 1  # as rounded
    r = ratio * gap
    angle = np.arctan2(2 * r, gap) / 2
    slope = gap / (gap**2 + 4 * r**2)
    if normalisation == "max":  # the first component is 1, the other -tan a
        values = [1.0, -np.tan(angle)]
        derivative = [0.0, -slope / np.cos(angle) ** 2]
    else:
        values = [np.cos(angle), -np.sin(angle)]
        derivative = [-slope * np.sin(angle), -slope * np.cos(angle)]
    t = [1.0, 0.0]
    accuracy = 1e-14 / gap  # of the eigenvectors of a rounded matrix
    np.testing.assert_allclose(
        problem.values([r], t), values, atol=1e-13 + 10 * accuracy
    )
    np.testing.assert_allclose(
        problem.jacobian([r], t)[:, 0],
        derivative,
        atol=(1e-12 + 20 * accuracy) * slope,
    )


def test_no_derivative_where_the_level_coincides_with_another_one():
    shapes = ef.ModeShapes([0, 2], [0, 1], "unit")
    problem = ef.Problem(ef.Symmetric(3), shapes)
    J = problem.jacobian([1.0, 1.0, 2.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]).numpy()
    assert np.isnan(J[:2]).any(axis=1).all()
    # The mode of level 2 has no measured component: 0 / 0 for "unit".
    J = ef.Problem(ef.Symmetric(3), ef.ModeShapes([2], normalisation="mass")).jacobian(
        [1.0, 1.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0]
    )
    expected = np.zeros([3, 6])
    expected[0, 5] = expected[1, 4] = 1  # x_2' = sum_j x_j A_j2 / (2 - 1)
    np.testing.assert_allclose(np.abs(J), expected, atol=1e-12)


@pytest.mark.parametrize("normalisation", ["max", "unit", "mass"])
def test_the_sign_is_that_of_the_target(rng, normalisation):
    problem = ef.Problem(
        ef.Symmetric(4), ef.ModeShapes([1, 2], [0, 2, 3], normalisation)
    )
    r, t = rng.normal(size=10), rng.normal(size=6)
    values = problem.values(r, t).numpy()
    one_turned = np.concatenate([t[:3], -t[3:]])
    expected = np.concatenate([values[:3], -values[3:]])
    np.testing.assert_allclose(problem.values(r, one_turned), expected, rtol=1e-12)
    for own, target in zip(np.split(values, 2), np.split(t, 2), strict=True):
        if normalisation == "max":
            k = np.argmax(np.abs(target))
            np.testing.assert_allclose(own[k], target[k])
        else:
            assert own @ target > 0
        if normalisation == "unit":
            np.testing.assert_allclose(np.linalg.norm(own), 1)


def test_a_fit_to_levels_and_mass_normalised_shapes_finds_the_masses():
    # Levels alone leave the common factor of K and M open.
    K = ef.Affine(
        [np.diag([1.0, 0, 0, 0, 0])[:2, :2], np.array([[1.0, -1], [-1, 1]])] * 2
    )
    K = ef.Reparametrized(K, np.eye(4)[:, [0, 1, 0, 0]] * [1, 1, 0, 0])
    masses = [np.zeros([2, 2])] * 2 + [np.diag([1.0, 0]), np.diag([0, 1.0])]
    structure = ef.Generalized(K, ef.Affine(masses))
    block = ef.Block(
        structure, [ef.Levels(), ef.ModeShapes([0, 1], normalisation="mass")]
    )
    problem = ef.Problem([block])
    truth = np.array([3.0, 2.0, 1.5, 0.5])
    start = np.array([2.0, 2.5, 1.0, 0.8])
    X = problem.modes(truth)[0].numpy()
    t = np.concatenate([problem.eigenvalues(truth), X.T.ravel()])
    found = ef.Solver(problem, ef.LevenbergMarquardt()).fit(start, t, tolerance=1e-20)
    np.testing.assert_allclose(found.parameters, truth, rtol=1e-8)


shapes = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.just(3)), elements=st.floats(-3, 3)
).filter(lambda x: (np.linalg.norm(x, axis=1) > 1e-3).all())


@hypothesis.given(shapes, shapes, st.floats(0.1, 10), st.floats(-3, 3))
def test_properties_of_mac(X, Y, scale, angle):
    values = ef.mac(X, Y)
    assert values.shape == (len(X), len(Y))
    assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    np.testing.assert_allclose(values, ef.mac(Y, X).T, atol=1e-12)
    np.testing.assert_allclose(np.diag(ef.mac(X, X)), 1)
    turned = scale * np.exp(1j * angle) * X
    np.testing.assert_allclose(ef.mac(turned, Y), values, atol=1e-12)
    cosine = [[x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in Y] for x in X]
    np.testing.assert_allclose(values, np.square(cosine), atol=1e-12)


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        ([[0.0, 0.0]], [[1.0, 0.0]], "`X` has a row that is zero"),
        ([[1.0, 0.0]], [[1.0, np.nan]], "`Y` has a row that is zero or not finite"),
        ([1.0, 0.0], [[1.0, 0.0]], "`X` must be a full table"),
        ([[1.0, 0.0]], [[1.0]], "as many components, got 2 and 1"),
        ([["a"]], [[1.0]], "`X` must be a full table"),
        ([[1.0], [1.0, 2.0]], [[1.0]], "`X` must be a full table"),
    ],
)
def test_mac_refuses(X, Y, message):
    with pytest.raises(ValueError, match=message):
        ef.mac(X, Y)


def test_zero_targets_decide_on_nothing():
    solver = ef.Solver(
        ef.Problem(ef.Symmetric(2), ef.ModeShapes([0, 1], normalisation="unit")),
        ef.LevenbergMarquardt(),
    )
    with pytest.raises(ValueError, match="are all zero for level 1"):
        solver.fit([1.0, 2.0, 0.1], [1.0, 0.0, 0.0, 0.0])


def test_complex_modes_are_refused():
    complex_block = ef.Block(ef.Hermitian(2), ef.ModeShapes([0]), label="k")
    with pytest.raises(ValueError, match="is for real matrices; block 'k' is complex"):
        ef.Problem([complex_block])
    with pytest.raises(ValueError, match="`shapes` must be real"):
        ef.MAC([0], [[1j, 1.0]])
