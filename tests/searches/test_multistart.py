import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.searches.distinct import canonical

LEVELS = np.arange(1.0, 5.0)


@pytest.fixture(scope="module")
def toeplitz():
    return ef.Solver(ef.Problem(ef.Toeplitz(4)))


def laboratory_frame():
    """4-storey shear frame with measured frequencies (SMU, FourStoryStructure)."""
    mass = 12.060 / 386.088
    basis = np.zeros([4, 4, 4])
    for k in range(4):
        basis[k, k, k] += 1
        if k:
            basis[k, k - 1, k - 1] += 1
            basis[k, k, k - 1] = basis[k, k - 1, k] = -1
    frequencies = np.array([0.88289843, 2.74773779, 4.29976448, 5.52947434])
    return ef.Affine(basis / mass), (2 * np.pi * frequencies) ** 2


def test_toeplitz_solutions_hold_the_published_one(toeplitz):
    found = ef.multistart(toeplitz, LEVELS)
    assert found.num_converged == 64
    assert found.counts.sum() == found.num_converged
    assert (np.diff(found.counts) <= 0).all()
    assert (found.result == ef.Result.converged).all()
    # 8 with their mirror images, which are what 60 Newton starts found.
    assert len(found.parameters) == 4
    published = [2.5, 0.4114378277661, 0.0, -1.4114378277661]
    gap = np.abs(found.parameters - published).max(axis=1)
    assert np.sum(gap < 1e-9) == 1
    levels = toeplitz.eigenvalues(found.parameters).numpy()
    np.testing.assert_allclose(levels, [LEVELS] * 4, atol=1e-9)
    np.testing.assert_allclose(found.eigenvalues, levels, atol=1e-12)
    assert found.starts.shape == found.solution.parameters.shape == (64, 4)


def test_a_seed_determines_everything(toeplitz):
    a, b, c = (ef.multistart(toeplitz, LEVELS, 16, seed=s) for s in (1, 1, 2))
    for x, y in zip(a[:5], b[:5], strict=True):
        np.testing.assert_array_equal(x, y)
    assert not np.allclose(a.starts, c.starts)
    more = ef.multistart(toeplitz, LEVELS, 32, seed=1)
    np.testing.assert_array_equal(more.starts[:16], a.starts)


def test_laboratory_frame_has_six_positive_solutions():
    structure, targets = laboratory_frame()
    found = ef.multistart(
        ef.Solver(ef.Problem(structure)),
        targets,
        300,
        draw=lambda rng, k: rng.uniform(2, 35, [k, 4]),
    )
    positive = found.parameters[(found.parameters > 0).all(axis=1)]
    published = [
        [6.231687, 9.650014, 11.298991, 11.322408],
        [7.178063, 8.078609, 9.033779, 14.685837],
        [13.990489, 5.90644, 5.472218, 17.013354],
        [18.497037, 4.185971, 15.572091, 6.380677],
        [31.789221, 4.969194, 5.254058, 9.269395],
        [32.558536, 4.332299, 7.584165, 7.191525],
    ]
    order = positive[:, 0].argsort()
    np.testing.assert_allclose(positive[order], published, atol=2e-6)


@pytest.mark.parametrize(
    "structure",
    [
        ef.Toeplitz(1),
        ef.Toeplitz(5),
        ef.Tridiagonal(5),
        ef.Banded(5, 2),
        ef.Symmetric(5),
    ],
    ids=repr,
)
def test_canonical_parameters_are_equivalent_and_unique(rng, structure):
    r = rng.normal(size=[20, structure.num_parameters])
    # Zeros make the joining entries others.
    r[10:] *= rng.uniform(size=r[10:].shape) < 0.6
    if isinstance(structure, ef.Toeplitz):
        signs = (-1.0) ** np.arange(structure.order) * np.ones([20, 1])
        mirrored = r * signs
    else:
        signs = rng.choice([-1.0, 1.0], size=[20, structure.order])
        mirrored = r * signs[:, structure._row] * signs[:, structure._column]
    image = canonical(structure, r)
    np.testing.assert_array_equal(image, canonical(structure, mirrored))
    np.testing.assert_array_equal(image, canonical(structure, image))
    np.testing.assert_array_equal(abs(image), abs(r))
    levels = [np.linalg.eigvalsh(structure.assemble(x)) for x in (r, image)]
    np.testing.assert_allclose(*levels, atol=1e-12)
    if isinstance(structure, ef.Tridiagonal):
        assert (image[:, structure.order :] >= 0).all()


def test_other_structures_have_no_symmetry(rng):
    r = rng.normal(size=[3, 2])
    np.testing.assert_array_equal(canonical(ef.Additive(np.eye(2)), r), r)


def test_symmetries_of_ones_own():
    solver = ef.Solver(ef.Problem(ef.Additive([[0.0, 1.0], [1.0, 0.0]])))
    assert len(ef.multistart(solver, [1.0, 4.0], 16).counts) == 2
    found = ef.multistart(solver, [1.0, 4.0], 16, symmetries=lambda r: np.sort(r, 1))
    np.testing.assert_allclose(found.parameters, [[1.381966, 3.618034]], atol=1e-6)
    assert found.counts == found.num_converged
    with pytest.raises(ValueError, match="`symmetries` must not change"):
        ef.multistart(solver, [1.0, 4.0], 16, symmetries=lambda r: 2 * r)


def test_first_makes_fewer_fits(toeplitz):
    found = ef.multistart(toeplitz, LEVELS, first=True)
    assert found.parameters.shape == (1, 4)
    assert len(found.starts) == len(found.solution.loss) < 64
    assert found.loss[0] <= 1e-8
    codes = found.solution.result.numpy()
    converged = np.flatnonzero(codes == ef.Result.converged)
    expected = canonical(
        ef.Toeplitz(4), found.solution.parameters.numpy()[converged[:1]]
    )
    np.testing.assert_allclose(found.parameters, expected, atol=1e-3)


def test_first_goes_on_until_one_converges():
    # Only the start at the answer meets the targets without a step.
    solver = ef.Solver(ef.Problem(ef.Additive(np.zeros([2, 2]))))
    starts = np.full([9, 2], 7.0)
    starts[4] = 1.0, 2.0
    found = ef.multistart(solver, [1.0, 2.0], starts, first=True, max_steps=0)
    assert len(found.starts) == 7
    assert found.num_converged == 1
    np.testing.assert_array_equal(found.parameters, [[1.0, 2.0]])


@pytest.mark.slow  # many fits
def test_impossible_targets_give_the_best_least_squares_point():
    solver = ef.Solver(ef.Problem(ef.Affine([np.eye(2)])))
    for first in (False, True):
        found = ef.multistart(solver, [1.0, 2.0], 10, first=first)
        assert found.num_converged == 0
        np.testing.assert_allclose(found.parameters, [[1.5]], atol=1e-6)
        np.testing.assert_allclose(found.loss, [0.5])
        assert found.result == ef.Result.minimum
        assert found.counts == 10


def test_starts_without_a_finite_loss_give_no_row(toeplitz):
    found = ef.multistart(toeplitz, LEVELS, np.full([3, 4], np.nan))
    assert found.parameters.shape == (0, 4)
    assert found.num_converged == 0
    assert found.counts.shape == (0,)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "structure",
    [
        ef.Symmetric(4),
        ef.Additive(np.ones([4, 4])),
        ef.Laplacian([(0, 1), (1, 2), (2, 3), (0, 3)]),
        ef.Hermitian(4),
    ],
    ids=repr,
)
def test_starts_have_the_spread_of_the_targets(structure):
    targets = np.array([0.0, 3.0, 20.0, 21.0])
    solver = ef.Solver(ef.Problem(structure))
    starts = ef.multistart(solver, targets, 2000, max_steps=0).starts
    levels = np.linalg.eigvalsh(structure.assemble(starts))
    square = np.sum((levels - targets.mean()) ** 2, axis=1).mean()
    np.testing.assert_allclose(square, 4 * targets.var(), rtol=0.1)


def test_float32_and_progress_and_given_starts(rng):
    solver = ef.Solver(ef.Problem(ef.Tridiagonal(3, tf.float32)))
    seen = []
    starts = rng.normal(size=[5, 5])
    found = ef.multistart(solver, [1.0, 2.0, 4.0], starts, progress=seen.append)
    assert found.parameters.dtype == np.float32
    assert seen[-1].num_members == 5
    np.testing.assert_array_equal(found.starts, starts.astype(np.float32))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"targets": np.ones([2, 4])}, ValueError, "`targets` must be one vector"),
        ({"targets": [1, 2, 3, np.nan]}, ValueError, "`targets` must be finite"),
        ({"starts": 0}, ValueError, "`starts` must be an integer of at least 1"),
        ({"starts": np.ones(4)}, ValueError, "`starts` must give shape"),
        ({"starts": np.ones}, TypeError, "Give a function as `draw`"),
        ({"starts": np.ones([2, 3])}, ValueError, "`starts` must have shape"),
        ({"starts": np.ones([2, 4]), "draw": np.ones}, ValueError, "`draw` needs"),
        ({"draw": 3}, TypeError, "`draw` must be callable"),
        ({"draw": lambda rng, k: np.ones([k + 1, 4])}, ValueError, r"\[64, 4\]"),
        ({"symmetries": 3}, TypeError, "`symmetries` must be callable"),
        ({"seed": -1}, ValueError, "`seed` must be an integer"),
        ({"rtol": 2.0}, ValueError, "`rtol` must be one positive number below 1"),
        ({"tolerance": [1.0]}, ValueError, "`tolerance` must be one positive"),
        ({"max_steps": [1]}, ValueError, "`max_steps` must be one integer"),
    ],
)
def test_misuse_is_told(toeplitz, change, error, match):
    with pytest.raises(error, match=match):
        ef.multistart(toeplitz, **{"targets": LEVELS, **change})


def test_a_problem_is_no_solver():
    with pytest.raises(TypeError, match="`solver` must be a Solver"):
        ef.multistart(ef.Problem(ef.Toeplitz(4)), LEVELS)
