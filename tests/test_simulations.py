"""Errors and chi-square of whole fits to 2000 simulated sets of data, in one batch.

Of so many sets a scatter is known to 1 / sqrt(4000) = 1.6 %, and the mean of
chi-square per degree of freedom to sqrt(2 / (2000 freedom)).
"""

import numpy as np
import pytest
import scipy.stats

import eigenfit as ef
from eigenfit.gallery import frames, rotational

NUMBER = 2000


def simulate(problem, truth, seed):
    """Fits noisy data; gives those without noise, those with it, and the solution."""
    truth = np.asarray(truth, float)
    clean = problem.values(truth, reference(problem, truth)).numpy()
    noise = np.random.default_rng(seed).normal(size=[NUMBER, len(clean)])
    targets = clean + noise / problem.roots()
    solution = ef.Solver(problem).fit(truth, targets)
    assert solution.success.all(), np.bincount(solution.result.numpy())
    return clean, targets, solution


def reference(problem, truth):
    """Shapes in scale "max" follow targets: those whose largest component is 1."""
    targets = np.ones(problem.num_targets)
    for label, observation, part in problem.terms:
        if isinstance(observation, ef.ModeShapes):
            block = problem.labels.index(label)
            X = problem.modes(truth)[block].numpy()
            levels, rows = observation.places(len(X))
            targets[part] = frames.measured_shapes(X[:, levels], rows + 1).ravel()
    return targets


def chi_square_is_fair(found, members=slice(None)):
    freedom = found.degrees_of_freedom[members]
    spread = np.sqrt(np.mean(2 / freedom) / len(freedom))
    assert abs(found.reduced_chi_square[members].mean() - 1) < 3 * spread
    below = scipy.stats.chi2.cdf(found.chi_square[members], freedom)
    assert scipy.stats.kstest(below, "uniform").pvalue > 0.01


def agree(problem, truth, seed, freedom):
    """Checks a whole problem whose parameters stay away from bounds."""
    clean, targets, solution = simulate(problem, truth, seed)
    found = ef.uncertainty(problem, solution, targets)
    np.testing.assert_array_equal(found.degrees_of_freedom, freedom)
    chi_square_is_fair(found)
    intervals_cover(found, truth)
    stated = ef.uncertainty(problem, truth, clean).standard_errors
    scatter_is_stated(solution, stated)
    return stated


def scatter_is_stated(solution, stated, members=slice(None)):
    scatter = solution.parameters.numpy()[members].std(axis=0)
    np.testing.assert_allclose(scatter, stated, rtol=0.05)


def intervals_cover(found, truth):
    """Nominal 95 % of the intervals of each parameter contain it."""
    inside = np.abs(found.values - truth) < 1.96 * found.standard_errors
    assert (np.abs(inside.mean(axis=0) - 0.95) < 0.014).all()


def small_frame(sigma_shapes=0.03):
    """Four storeys; three frequencies, and two shapes at all floors."""
    structure = ef.Generalized(
        ef.Affine(frames.shear_basis(np.ones(4))), [2.0, 1.5, 1.5, 1.0]
    )
    observations = [
        ef.Frequencies([0, 1, 2], sigma=0.002),
        ef.ModeShapes([0, 1], sigma=sigma_shapes),
    ]
    return ef.Problem([ef.Block(structure, observations)]), [30.0, 25.0, 20.0, 22.0]


@pytest.fixture(scope="module")
def frame():
    problem, truth = small_frame()
    return problem, truth, *simulate(problem, truth, 0)


@pytest.mark.slow
def test_frame_with_shapes_scaled_by_their_largest_component(frame):
    problem, truth, clean, targets, solution = frame
    found = ef.uncertainty(problem, solution, targets)
    # 3 frequencies and 8 components, two of which only set a scale.
    np.testing.assert_array_equal(found.degrees_of_freedom, 9 - 4)
    chi_square_is_fair(found)
    intervals_cover(found, truth)
    stated = ef.uncertainty(problem, truth, clean).standard_errors
    scatter_is_stated(solution, stated)
    # As if the largest component had no error, they would be far too small.
    J = problem.jacobian(truth, clean).numpy()
    naive = np.sqrt(np.diag(np.linalg.inv(J.T @ J)))
    assert (naive < 0.9 * stated).all()


def test_shapes_with_weights_of_unknown_size(frame):
    """Errors by the residual: those of sigma times the root of chi-square."""
    problem, _, _, targets, solution = frame
    observations = [
        ef.Frequencies([0, 1, 2], weights=7 / 0.002**2),
        ef.ModeShapes([0, 1], weights=7 / 0.03**2),
    ]
    weighted = ef.Problem([ef.Block(problem.structure, observations)])
    found = ef.uncertainty(weighted, solution, targets)
    assert found.scale == "residual"
    known = ef.uncertainty(problem, solution, targets)
    factor = np.sqrt(known.reduced_chi_square)[:, np.newaxis]
    expected = known.standard_errors * factor
    np.testing.assert_allclose(found.standard_errors, expected, rtol=1e-6)


def beam(upper):
    """A cantilever of 8 elements, stiffnesses of its quarters unknown, in SI units."""
    n, length = 8, 0.25
    K, M = element(length)
    stiffness, mass = np.zeros([4, 2 * n + 2, 2 * n + 2]), np.zeros([2 * n + 2] * 2)
    for k in range(n):
        part = slice(2 * k, 2 * k + 4)
        stiffness[k // 2, part, part] += 2.1e5 * K  # E I of 1 is 2.1e5 N m^2
        mass[part, part] += 15.0 * M  # kg / m
    structure = ef.Generalized(ef.Affine(stiffness[:, 2:, 2:]), mass[2:, 2:])
    return ef.Problem(
        structure,
        ef.Frequencies(range(7), sigma=[0.02, 0.1, 0.3, 0.6, 1.0, 2.0, 3.0]),
        parameters=ef.Parameters(
            ["a", "b", "c", "d"], bounds={"b": (0.0, upper), "d": (0.0, upper)}
        ),
    )


def element(h):
    """Stiffness and mass of a beam element (Euler and Bernoulli)."""
    K = [
        [12, 6 * h, -12, 6 * h],
        [6 * h, 4 * h**2, -6 * h, 2 * h**2],
        [-12, -6 * h, 12, -6 * h],
        [6 * h, 2 * h**2, -6 * h, 4 * h**2],
    ]
    M = [
        [156, 22 * h, 54, -13 * h],
        [22 * h, 4 * h**2, 13 * h, -3 * h**2],
        [54, 13 * h, 156, -22 * h],
        [-13 * h, -3 * h**2, -22 * h, 4 * h**2],
    ]
    return np.array(K) / h**3, np.array(M) * h / 420


@pytest.mark.slow  # likewise
def test_beam_with_a_stiffness_on_its_bound():
    """The truth lies on the bound of b: half of the members are held there.

    What an estimate beyond the bound adds to chi-square, one degree of freedom pays
    for; and the others are independent of by how much it would lie beyond.
    """
    truth = [1.1, 1.0, 0.9, 0.7]
    problem = beam(upper=1.0)
    clean, targets, solution = simulate(problem, truth, 2)
    found = ef.uncertainty(problem, solution, targets)
    held = found.on_bounds[:, 1] == 1
    assert 0.45 < held.mean() < 0.55
    assert not found.on_bounds[:, [0, 2, 3]].any()
    np.testing.assert_array_equal(found.degrees_of_freedom, np.where(held, 4, 3))
    for members in (slice(None), held, ~held):
        chi_square_is_fair(found, members)
    stated = ef.uncertainty(problem, truth, clean).standard_errors
    np.testing.assert_array_equal(np.isnan(stated), [False, True, False, False])
    scatter_is_stated(solution, np.where(np.isnan(stated), 0, stated), held)
    np.testing.assert_array_equal(np.isnan(found.standard_errors[:, 1]), held)


@pytest.mark.slow
def test_beam_whose_bounds_are_far():
    truth = [1.1, 1.0, 0.9, 0.7]
    agree(beam(upper=2.0), truth, 3, 7 - 4)


@pytest.mark.slow
def test_lines_of_h2coh():
    case = rotational.h2coh()
    agree(case.problem, case.answer, 4, 32 - 8)


@pytest.mark.slow  # a frame and a magnet are simulated in any case
def test_microwave_lines_beside_raman_lines():
    """Lines to 1 kHz and to .03 cm^-1, 9e5 times as wide, of one molecule in MHz.

    The ground state is a rotor of three constants known from microwaves, a vibration
    adds a level of 3e7 MHz and changes of the constants, seen by Raman lines only.
    """
    kilohertz, wavenumber = 1e-3, 29979.2458
    basis = {J: rotational.rotor_basis(J)[:3] for J in range(4)}
    zero = {J: np.zeros([1, 2 * J + 1, 2 * J + 1]) for J in basis}
    one = {J: np.eye(2 * J + 1)[np.newaxis] for J in basis}
    blocks, microwave, raman = [], [], []
    for J, B in basis.items():
        rigid = np.concatenate([B, zero[J], 0 * B])
        blocks.append(ef.Block(ef.Affine(rigid), label=f"ground {J}"))
        excited = np.concatenate([B, one[J], B])
        blocks.append(ef.Block(ef.Affine(excited), label=f"excited {J}"))
    for J in range(1, 3):
        for i in range(2 * J + 1):
            microwave.append(((f"ground {J + 1}", i), (f"ground {J}", i)))
    for J in range(2):
        for i in range(0, 2 * J + 1):
            for k in (0, 3):
                raman.append(((f"excited {J + 2}", i + k % 4), (f"ground {J}", i)))
    problem = ef.Problem(
        blocks,
        observations=[
            ef.Differences(microwave, sigma=kilohertz),
            ef.Differences(raman, sigma=0.03 * wavenumber),
        ],
        parameters=ef.Parameters(["A", "B", "C", "nu", "dA", "dB", "dC"]),
    )
    truth = [197581.0, 34350.0, 29172.0, 3e7, -3000.0, -900.0, -800.0]
    stated = agree(problem, truth, 5, len(microwave) + len(raman) - 7)
    assert stated[3:].min() > 500 * stated[:3].max()


def stevens(S):
    """O20, O22, O40 and O44 (A. Abragam & B. Bleaney, 1970, table 16)."""
    m = np.arange(-S, S + 1.0)
    X = S * (S + 1.0)
    raising = np.diag(np.sqrt(X - m[:-1] * (m[:-1] + 1)), -1)
    twice = np.linalg.matrix_power(raising, 2)
    fourth = np.linalg.matrix_power(raising, 4)
    return np.array(
        [
            np.diag(3 * m**2 - X),
            (twice + twice.T) / 2,
            np.diag(35 * m**4 - (30 * X - 25) * m**2 + 3 * X**2 - 6 * X),
            (fourth + fourth.T) / 2,
        ]
    )


def test_levels_of_a_molecular_magnet():
    """Mn12: spin 10, four constants in MHz, levels from the lowest."""
    sigma = 100.0
    problem = ef.Problem(
        ef.Affine(stevens(10)),
        ef.RelativeTo(0, sigma=sigma),
        parameters=ef.Parameters(["B20", "B22", "B40", "B44"]),
    )
    truth = [-4600.0, -450.0, -0.7, -1.5]
    agree(problem, truth, 6, 20 - 4)


@pytest.mark.slow
def test_frame_of_18_storeys():
    """Four levels and their shapes at seven floors for 18 stiffnesses."""
    case = frames.shear_frame_modes()
    block = case.problem.blocks[0]
    levels, shapes = block.observations
    observations = [
        ef.Levels(levels.indices, sigma=1e-4 * case.targets[:4]),
        ef.ModeShapes(shapes.levels, shapes.components, sigma=1e-5),
    ]
    problem = ef.Problem([ef.Block(block.structure, observations)])
    agree(problem, case.answer, 7, 4 + 28 - 4 - 18)
