"""What data determine, and how well, does not depend on units or on other data."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.analysis.undetermined import decomposed, listed, reduced, written
from eigenfit.tensors.graded import solve_graded


def exact_errors(J):
    """Square roots of the diagonal of `(J^T J)^-1`, in exact arithmetic."""
    rows = [[Fraction(float(x)) for x in row] for row in J]
    p = len(rows[0])
    A = [[sum(r[i] * r[j] for r in rows) for j in range(p)] for i in range(p)]
    A = [row + [Fraction(i == j) for j in range(p)] for i, row in enumerate(A)]
    for k in range(p):
        A[k] = [x / A[k][k] for x in A[k]]
        for i in range(p):
            if i != k:
                A[i] = [x - A[i][k] * y for x, y in zip(A[i], A[k], strict=True)]
    # Exponents beyond those of floats are taken out by an even power of two.
    diagonal = [A[k][p + k] for k in range(p)]
    shift = [x.denominator.bit_length() - x.numerator.bit_length() for x in diagonal]
    return np.array(
        [
            np.ldexp(np.sqrt(float(x * Fraction(4) ** (s // 2))), -(s // 2))
            for x, s in zip(diagonal, shift, strict=True)
        ]
    )


def diagonal(rows, sigma=1.0, spacing=None, **options):
    """A problem of one matrix whose levels have these derivatives."""
    rows = np.array(rows, float)
    step = 100 * np.abs(rows).max() if spacing is None else spacing
    offset = np.diag(step * np.arange(len(rows)))
    structure = ef.Affine([np.diag(x) for x in rows.T], offset)
    return ef.Problem(structure, ef.Levels(sigma=sigma), **options)


def errors_of(problem, r, **options):
    targets = problem.values(r, np.zeros(problem.num_targets))
    return ef.uncertainty(problem, r, targets, **options)


def three_blocks():
    """Levels 0, c_k and (2 or 3) c_k of blocks of very different sizes."""
    sizes, sigma = [3e4, 3e7, 150.0], [1e-3, 6e4, 1e-3]
    blocks = []
    for k, size in enumerate(sizes):
        basis = np.zeros([3, 3, 3])
        basis[k] = np.diag([0.0, 1.0, 3.0]) * size
        blocks.append(ef.Block(ef.Affine(basis), label=f"b{k}"))
    pairs = [((f"b{k}", i), (f"b{k}", 0)) for k in range(3) for i in (1, 2)]
    problem = ef.Problem(
        blocks, observations=[ef.Differences(pairs, sigma=np.repeat(sigma, 2))]
    )
    J = np.zeros([6, 3])
    for k in range(3):
        J[2 * k : 2 * k + 2, k] = np.array([1.0, 3.0]) * sizes[k] / sigma[k]
    return problem, J


def test_blocks_of_any_size_are_determined_by_their_own_data():
    problem, J = three_blocks()
    result = errors_of(problem, np.ones(3))
    assert result.rank == 3
    assert result.num_undetermined == 0
    assert result.undetermined() == []
    np.testing.assert_allclose(result.standard_errors, exact_errors(J), rtol=1e-12)


def test_a_datum_far_better_known_hides_no_other():
    # Only a sum is measured well, by 1e-12 of the sigma of what tells them apart.
    rows, sigma = [[1.0, 1.0], [1.0, -1.0], [1.0, 0.0]], [1e-9, 1e3, 1e3]
    result = errors_of(diagonal(rows, sigma), np.array([1.0, 2.0]))
    assert result.rank == 2
    J = np.array(rows) / np.array(sigma)[:, None]
    np.testing.assert_allclose(result.standard_errors, exact_errors(J), rtol=1e-9)
    # So is a level in which they enter by their difference.
    assert np.isfinite(result.level_errors).all()


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_any_size_keep_their_digits(seed):
    generator = np.random.default_rng(seed)
    J = generator.normal(size=[9, 4])
    J *= 10.0 ** generator.uniform(-9, 9, [9, 1])
    J *= 10.0 ** generator.uniform(-8, 8, [1, 4])
    inverse, _ = solve_graded(J)
    found = np.linalg.norm(inverse, axis=1)
    np.testing.assert_allclose(found, exact_errors(J), rtol=1e-10)


def test_the_factors_of_a_batch_solve_each_problem(rng):
    A, B = rng.normal(size=[3, 6, 4]), rng.normal(size=[3, 6, 2])
    A[1, :, 2] = 0
    inverse, rotated = solve_graded(A, B)
    x = inverse @ rotated[..., :4, :]
    for k in range(3):
        np.testing.assert_allclose(x[k], np.linalg.pinv(A[k]) @ B[k], atol=1e-12)
    few = rng.normal(size=[2, 3])
    inverse, rotated = solve_graded(np.vstack([few, few])[:, :2], np.ones([4, 1]))
    expected = np.linalg.pinv(np.vstack([few, few])[:, :2]) @ np.ones([4, 1])
    np.testing.assert_allclose(inverse @ rotated[:2], expected, atol=1e-12)


def test_a_small_share_of_a_large_operator_is_a_share():
    # Of K^8 the observed levels K = 1, 2 see 1 and 256, the matrix goes to 2.6e10.
    K = np.arange(1.0, 21)
    structure = ef.Affine([np.diag(K**2), np.diag(K**8)])
    problem = ef.Problem(structure, ef.Levels([0, 1, 2], sigma=0.5))
    J = np.column_stack([K**2, K**8])[:3] / 0.5
    result = errors_of(problem, np.array([5.0, 1e-13]))
    np.testing.assert_allclose(result.standard_errors, exact_errors(J), rtol=1e-11)


def test_a_column_of_rounding_is_not_determined():
    # The middle level of a chain does not move with its coupling: exactly 0, but
    # the eigenvectors say 1e-17.
    basis = [np.eye(3), np.diag([1.0, 1.0], 1) + np.diag([1.0, 1.0], -1)]
    problem = ef.Problem(ef.Affine(basis), ef.Levels([1], sigma=0.1))
    result = errors_of(problem, np.array([1.0, 0.7]))
    assert result.undetermined() == ["r1"]
    np.testing.assert_allclose(result.standard_errors, [0.1, np.inf])
    np.testing.assert_allclose(result.level_errors, [np.inf, 0.1, np.inf])


def test_a_datum_that_is_rounding_determines_nothing():
    # As before, beside a level that is known: the middle level adds no second row.
    basis = [np.eye(3), np.diag([1.0, 1.0], 1) + np.diag([1.0, 1.0], -1)]
    structure = ef.Affine([*basis, np.diag([0.0, 0.0, 0.0])])
    problem = ef.Problem(structure, ef.Differences([(2, 0), (1, 0)], sigma=0.1))
    result = errors_of(problem, np.array([1.0, 0.7, 0.0]))
    # Both differences are multiples of r1.
    assert result.rank == 1
    assert result.undetermined() == ["r0", "r2"]
    J = np.sqrt([8.0, 2.0]) / 0.1
    np.testing.assert_allclose(result.standard_errors[1], 1 / np.linalg.norm(J))


def test_an_angle_at_its_symmetric_value_is_not_determined():
    def ring(x):
        c, s = tf.cos(x[..., 1]), tf.sin(x[..., 1])
        row = tf.stack([s, x[..., 0] * c, x[..., 0] * c, -s], axis=-1)
        return tf.reshape(row, tf.concat([tf.shape(x)[:-1], [2, 2]], axis=0))

    problem = ef.Problem(ef.Parametric(ring, 2, 2), ef.Levels(sigma=0.1))
    result = errors_of(problem, np.array([2.0, 0.0]))
    assert result.undetermined() == ["r1"]
    np.testing.assert_allclose(result.standard_errors, [0.1 / np.sqrt(2), np.inf])


def test_a_band_of_what_was_not_seen_is_infinite():
    # The third parameter moves the third level, which was not observed.
    basis = [np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0]), np.diag([0, 0, 1.0])]
    problem = ef.Problem(
        ef.Affine(basis, np.diag([0.0, 10, 20])), ef.Levels([0, 1], sigma=0.01)
    )
    result = errors_of(problem, np.zeros(3))
    np.testing.assert_allclose(result.level_errors, [0.01, 0.01, np.inf])
    np.testing.assert_allclose(result.value_errors, [0.01, 0.01])
    assert result.num_undetermined == 1
    assert result.degrees_of_freedom == 0


@pytest.mark.parametrize("share", [1.0, 1e-5, 1e-9])
def test_a_band_is_infinite_however_little_of_it_is_open(share):
    basis = [np.diag([1.0, 1.0]), np.diag([0.0, share])]
    problem = ef.Problem(
        ef.Affine(basis, np.diag([0.0, 10])), ef.Levels([0], sigma=0.01)
    )
    result = errors_of(problem, np.zeros(2))
    np.testing.assert_allclose(result.level_errors, [0.01, np.inf])


def test_what_is_tied_to_the_open_is_open():
    ties = {"c": {"a": 1.0, "b": 1.0}, "d": {"a": 1.0, "b": -1.0}}
    known = ef.Parameters(["a", "b", "c", "d"], ties=ties)
    zero = np.zeros([2, 2])
    structure = ef.Affine([zero, zero, np.eye(2), zero], np.diag([0.0, 10]))
    problem = ef.Problem(structure, ef.Levels(sigma=0.1), parameters=known)
    result = errors_of(problem, np.array([0.5, 0.2]))
    expected = [np.inf, np.inf, 0.1 / np.sqrt(2), np.inf]
    np.testing.assert_allclose(result.all_standard_errors, expected)
    assert result.undetermined() == ["a - b"]


def test_what_is_open_is_named_without_degrees_of_freedom():
    """Errors by the residual are NaN then, but what has none is known."""
    chain = ef.Laplacian([(0, 1), (1, 2)])
    problem = ef.Problem(chain, ef.Levels([2]))
    result = ef.uncertainty(problem, [1.0, 1.0], [3.0])
    assert result.degrees_of_freedom == 0
    assert result.undetermined() == ["r0 - r1"]
    np.testing.assert_array_equal(result.standard_errors, np.inf)


def test_the_component_that_sets_a_scale_determines_nothing():
    """Two components of one mode tell one number; their ratio."""
    chain = ef.Affine([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])], [[0, 1], [1, 0]])
    shape = ef.ModeShapes([0], sigma=0.1)
    found = ef.uncertainty(ef.Problem(chain, shape), [0.3, 1.1], [1.0, -0.7])
    assert found.rank == 1
    assert found.undetermined() == ["r0 + r1"]
    assert found.degrees_of_freedom == 0
    # Beside levels the errors are those of the derivative by all targets.
    both = [ef.Levels(sigma=[0.02, 0.03]), shape]
    problem = ef.Problem([ef.Block(chain, both)])
    r, h = np.array([0.3, 1.1]), 1e-6

    def values(r):
        w, V = np.linalg.eigh([[r[0], 1], [1, r[1]]])
        return np.array([*w, V[1, 0] / V[0, 0]])

    w0, w1, ratio = values(r)
    t = np.array([w0 + 0.01, w1 - 0.02, 1.0, ratio + 0.05])
    J = np.array([(values(r + h * e) - values(r - h * e)) / (2 * h) for e in np.eye(2)])
    # The residual of the shape is ratio t_0 - t_1, with noise of both.
    root = np.array([1 / 0.02, 1 / 0.03, 1 / 0.1])
    J = J.T * root[:, None]
    D = np.array([[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, ratio, -1.0]])
    K = -np.linalg.pinv(J) @ D
    found = ef.uncertainty(problem, r, t)
    np.testing.assert_allclose(found.covariance, K @ K.T, rtol=1e-7)
    assert found.degrees_of_freedom == 1
    # What is left along the only direction that no parameter reaches.
    e = root * (values(r) - t[[0, 1, 3]])
    P = np.eye(3) - J @ np.linalg.pinv(J)
    Q = P @ D @ D.T @ P
    expected = e @ np.linalg.pinv(Q, rcond=1e-9) @ e + np.sum((e - P @ e) ** 2)
    np.testing.assert_allclose(found.chi_square, expected, rtol=1e-7)


def test_a_shift_that_is_fitted_determines_nothing():
    line = ef.Affine([np.eye(3), np.diag([0.0, 1, 2])], np.diag([0.0, 10, 20]))
    problem = ef.Problem(line, ef.FreeShift(ef.Levels(sigma=0.1)))
    result = errors_of(problem, np.array([0.3, 0.2]))
    assert result.undetermined() == ["r0"]
    assert result.degrees_of_freedom == 1
    # Slopes -1, 0 and 1 about their mean.
    np.testing.assert_allclose(result.standard_errors, [np.inf, 0.1 / np.sqrt(2)])
    np.testing.assert_array_equal(result.level_errors, np.inf)


def test_complex_matrices(rng):
    """The phase of a hopping cannot be seen in two levels, its size can."""

    def hop(x):
        z = tf.complex(x[..., 1] * tf.cos(x[..., 2]), x[..., 1] * tf.sin(x[..., 2]))
        e = tf.cast(x[..., 0], z.dtype)
        rows = tf.stack([e, z, tf.math.conj(z), -e], axis=-1)
        return tf.reshape(rows, tf.concat([tf.shape(x)[:-1], [2, 2]], axis=0))

    problem = ef.Problem(
        ef.Parametric(hop, 2, 3, dtype="complex128"), ef.Levels(sigma=0.1)
    )
    result = errors_of(problem, np.array([0.7, 1.3, 0.4]))
    assert result.undetermined() == ["r0 - 0.5385 r1", "r2"]  # .7 / 1.3
    assert result.rank == 1


UNITS = [(1.0, 1.0, 1.0), (1e-8, 1.0, 1e8), (1e8, 1e5, 1e-8), (1e-150, 1e150, 1.0)]


@pytest.mark.parametrize("units", UNITS)
def test_parameters_in_other_units(units, rng):
    """The errors are in the other units, all else is the same."""
    basis = rng.normal(size=[3, 4, 4])
    basis = basis + basis.swapaxes(1, 2)
    offset = np.diag([0.0, 20.0, 40.0, 60.0])
    r = np.array([0.3, -0.2, 0.5])

    def found(units):
        scaled = basis * np.array(units)[:, None, None]
        problem = ef.Problem(ef.Affine(scaled, offset), ef.Levels(sigma=0.1))
        t = np.array([0.5, 21.0, 39.0, 61.0])
        return ef.uncertainty(problem, r / units, t)

    one, other = found((1.0, 1.0, 1.0)), found(units)
    np.testing.assert_allclose(
        other.standard_errors * units, one.standard_errors, rtol=1e-9
    )
    np.testing.assert_allclose(other.correlation, one.correlation, atol=1e-9)
    np.testing.assert_allclose(other.level_errors, one.level_errors, rtol=1e-9)
    assert other.rank == one.rank == 3


@pytest.mark.parametrize("units", UNITS[:3])
def test_combinations_in_other_units(units):
    """Those in one unit, converted."""
    rows = np.array([[1.0, 2.0, 0.5], [2.0, 4.0, 1.0]])
    one = errors_of(diagonal(rows, spacing=1e3), np.zeros(3))
    assert one.undetermined() == ["r0 - 2 r2", "r1 - 4 r2"]
    other = errors_of(diagonal(rows * units, spacing=1e3), np.zeros(3))
    u = np.array(units)
    factors = [2 * u[0] / u[2], 4 * u[1] / u[2]]
    expected = [f"r{k} - {factor:.4g} r2" for k, factor in enumerate(factors)]
    assert other.undetermined() == expected


@pytest.mark.parametrize("k", [-150, -40, 40, 150])
def test_all_in_other_units(k, rng):
    """Matrices, targets and sigmas: the same errors of the same parameters."""
    basis = rng.normal(size=[2, 4, 4])
    basis, unit = basis + basis.swapaxes(1, 2), 10.0**k
    offset = np.diag([0.0, 20.0, 40.0, 60.0])
    t = np.array([0.5, 21.0, 39.0, 61.0])

    def found(unit):
        structure = ef.Affine(basis * unit, offset * unit)
        problem = ef.Problem(structure, ef.Levels(sigma=0.1 * unit))
        return ef.uncertainty(problem, np.array([0.3, -0.2]), t * unit)

    one, other = found(1.0), found(unit)
    np.testing.assert_allclose(other.standard_errors, one.standard_errors, rtol=1e-9)
    np.testing.assert_allclose(other.chi_square, one.chi_square, rtol=1e-9)
    np.testing.assert_allclose(other.level_errors / unit, one.level_errors, rtol=1e-9)


def test_the_unit_of_the_residual_does_not_matter_without_sigma(rng):
    basis = rng.normal(size=[2, 4, 4])
    basis = basis + basis.swapaxes(1, 2)
    t = np.array([0.5, 21.0, 39.0, 61.0])
    found = []
    for unit in (1.0, 1e-140, 1e140):
        structure = ef.Affine(basis * unit, np.diag([0.0, 20.0, 40.0, 60.0]) * unit)
        problem = ef.Problem(structure)
        found.append(ef.uncertainty(problem, np.array([0.3, -0.2]), t * unit))
    for other in found[1:]:
        np.testing.assert_allclose(
            other.standard_errors, found[0].standard_errors, rtol=1e-9
        )


def test_what_hangs_on_a_bound_hangs_there():
    ties = {"c": {"b": -2.0, "": 1.0}, "d": {"a": 1.0, "b": 1.0}}
    known = ef.Parameters(
        ["a", "b", "c", "d", "e"],
        ties=ties,
        fixed={"e": 3.0},
        bounds={"b": (0.0, 1.5)},
    )
    rows = np.array([[1.0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]])
    problem = diagonal(rows, sigma=0.1, parameters=known)
    result = errors_of(problem, np.array([1.0, 1.5]))
    # Of a alone: rows 1, 1 and 1.
    error = 0.1 / np.sqrt(3)
    np.testing.assert_allclose(result.standard_errors, [error, np.nan])
    np.testing.assert_allclose(
        result.all_standard_errors, [error, np.nan, np.nan, error, 0]
    )
    assert dict(result.table()) == {
        "a": "1.0000(577)",
        "b": "1.5 (at bound)",
        "c": "-2 (at bound)",
        "d": "2.5000(577)",
        "e": "3",
    }
    # Inside, it has an error.
    free = errors_of(problem, np.array([1.0, 1.4]))
    assert np.isfinite(free.standard_errors).all()
    np.testing.assert_array_equal(free.all_on_bounds, 0)


def test_a_parameter_held_beside_one_that_is_open():
    known = ef.Parameters(["a", "b", "c"], bounds={"a": (0.0, 1.0)})
    rows = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    problem = diagonal(rows, sigma=0.1, parameters=known)
    result = errors_of(problem, np.array([1.0, 0.5, 0.5]))
    np.testing.assert_array_equal(result.standard_errors, [np.nan, np.inf, np.inf])
    assert result.undetermined() == ["b - c"]
    assert result.num_undetermined == result.rank == result.degrees_of_freedom == 1
    np.testing.assert_allclose(result.level_errors, 0.1 / np.sqrt(2))


def test_combinations_are_reduced_ordered_and_written():
    J = np.array([[1.0, -2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    found = decomposed(J, np.zeros(4, bool), 1e-10)
    rows = reduced(found.directions[~found.seen])
    assert listed(written(rows, found.scales, "ABCD")) == "A + 0.5 B; C - D"
    none = decomposed(np.zeros([1, 6]), np.zeros(6, bool), 1e-10)
    rows = reduced(none.directions)
    shown = listed(written(rows, none.scales, "ABCDEF"))
    assert shown == "A; B; C; D; and 2 more"
    long = written(np.ones([1, 8]), np.ones(8), "ABCDEFGH")
    assert long == ["A + B + C + D + E + F + ..."]


@pytest.mark.parametrize("unit", [[1.0, 1.0, 1.0], [1.0, 1e-8, 1e8], [1e8, 1e-8, 1.0]])
@pytest.mark.parametrize("known", [1e-7, 1e-3, 1e3])
def test_a_strong_datum_hides_no_weak_ones(unit, known):
    """One line known far better than two others, and all three independent.

    The strong line holds x1 + x2, the weak ones x0 - x1 and x0 + x1: the columns of x1
    and x2 differ in the weak lines only.
    """
    rows = np.array([[0.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]) * unit
    sigma = np.array([known, 3e4, 3e4])
    problem = diagonal(rows, sigma, spacing=1e12)
    result = errors_of(problem, [1e6 / unit[0], 1e5 / unit[1], 2e5 / unit[2]])
    expected = exact_errors(rows / sigma[:, np.newaxis])
    np.testing.assert_allclose(result.standard_errors, expected, rtol=1e-6)
    assert (int(result.rank), result.undetermined()) == (3, [])
    assert result.degrees_of_freedom == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_rank_is_that_of_the_matrix_without_units(seed):
    """Rows and columns in any units, between 1e-8 and 1e8, of integers of a rank."""
    rng = np.random.default_rng(seed)
    p, rank = 6, int(rng.integers(2, 7))
    A = np.zeros([8, p])
    while np.linalg.matrix_rank(A) != rank:
        A = rng.integers(-2, 3, [8, rank]) @ rng.integers(-2, 3, [rank, p])
    units = [2.0 ** rng.integers(-26, 27, n) for n in A.shape]
    J = units[0][:, np.newaxis] * A * units[1]
    assert int(decomposed(J, np.zeros(p, bool), 1e-10).seen.sum()) == rank


FEW = ef.Affine(
    [
        [[1.0, 0.5, 0.0], [0.5, -1.0, 0.3], [0.0, 0.3, 0.7]],
        [[0.2, 0.0, 1.0], [0.0, 0.9, 0.0], [1.0, 0.0, -0.4]],
        [[0.0, 0.3, 0.0], [0.3, 0.0, 0.1], [0.0, 0.1, 1.0]],
    ],
    [[0.0, 0.1, 0.0], [0.1, 1.0, 0.2], [0.0, 0.2, 3.0]],
)


@pytest.mark.parametrize(
    ("observed", "prior"),
    [
        ([ef.Levels([0], sigma=0.01), ef.Levels([2])], None),
        ([ef.Levels([0])], {"a": (0.1, 0.5)}),
    ],
)
def test_fewer_rows_than_unknowns_of_which_some_have_no_sigma(observed, prior):
    """Two rows for three unknowns: the third combination is open, the rest is exact."""
    known = ef.Parameters(["a", "b", "c"], prior=prior)
    problem = ef.Problem(FEW, observations=observed, parameters=known)
    x = np.array([0.1, 0.2, 0.1])
    targets = problem.values(x, np.zeros(len(observed)))
    found = ef.uncertainty(problem, x, targets)
    assert (int(found.rank), len(found.undetermined())) == (2, 1)
    # The data without sigma are met, and none is left to say how far they scatter.
    errors = found.standard_errors
    J = problem.jacobian(x, targets).numpy()
    open_ = np.linalg.svd(J)[2][-1]
    assert not np.isfinite(errors[np.abs(open_) > 1e-6]).any()


@pytest.mark.parametrize("prior", [None, {"a": (0.1, 0.5)}])
def test_without_degrees_of_freedom_chi_square_is_the_loss(prior):
    structure = ef.Affine(FEW.basis[:2], FEW.offset)
    known = ef.Parameters(["a", "b"], prior=prior)
    shifted = ef.FreeShift(ef.Levels(sigma=0.001))
    problem = ef.Problem(structure, observations=[shifted], parameters=known)
    targets = np.linalg.eigvalsh(
        np.tensordot([0.1, 0.2], FEW.basis[:2], 1) + FEW.offset
    )
    for seed in range(8):
        shift = np.random.default_rng(seed).normal()
        x = [0.1 + 1e-13 * seed, 0.2]
        found = ef.uncertainty(problem, x, targets + 10 * shift)
        assert found.degrees_of_freedom == (0 if prior is None else 1)
        loss = problem.loss(x, targets + 10 * shift)
        np.testing.assert_allclose(found.chi_square, loss, rtol=1.0, atol=1e-12)
