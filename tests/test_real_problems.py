"""Published problems with real data: spectra, structures, bands, crystal fields."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit import gallery


def _load(name: str):
    return gallery.load(name)


@pytest.mark.slow
def test_rotational_spectrum_to_every_published_digit():
    """T3: eight constants from 32 lines, rigid rotor as the start."""
    case = _load("rotational-h2coh+")
    solution = ef.Solver(case.problem).fit(case.initial, case.targets)
    assert solution.result == ef.Result.minimum
    assert solution.num_steps <= 5
    full = [
        197581.5594329546,
        34350.54739588455,
        29172.65425253290,
        -0.05534126336114131,
        -0.6291980947077179,
        -6.464408205562103,
        -0.009531001642388043,
        -0.001933016057371318,
    ]
    errors = ef.uncertainty(case.problem, solution, case.targets)
    assert errors.scale == "sigma"
    printed = [0.0210, 0.00250, 0.00279, 3.9e-5, 2.76e-4, 8.7e-3, 7.5e-6, 1.96e-5]
    halves = [5e-5, 5e-6, 5e-6, 5e-7, 5e-7, 5e-5, 5e-8, 5e-8]
    assert (np.abs(errors.standard_errors - printed) <= halves).all()
    # Far inside the published digits: a thousandth of the standard errors.
    assert (np.abs(solution.parameters - full) < 1e-3 * np.array(printed)).all()
    deviations = case.problem.values(solution.parameters, case.targets) - case.targets
    assert np.sqrt(np.mean(deviations**2)) == pytest.approx(0.038949, abs=5e-7)
    assert np.sqrt(errors.chi_square / 32) == pytest.approx(0.97372, abs=5e-6)


def test_frame_from_frequencies_alone():
    """T7(a): 18 stiffnesses from 18 eigenvalues, from the nominal ones."""
    case = _load("shear-frame-18")
    solution = ef.Solver(case.problem).fit(np.zeros(18), case.targets, tolerance=1e-20)
    assert solution.result == ef.Result.converged
    levels = case.problem.values(solution.parameters, case.targets)
    np.testing.assert_allclose(levels, case.targets, rtol=1e-9)


@pytest.fixture(scope="module")
def frame():
    case = _load("shear-frame-18-modes")
    return case, ef.Solver(case.problem)


def test_frame_from_four_frequencies_and_shapes(frame):
    """T7(b), from the nominal stiffnesses and from 100 random ones in one batch."""
    case, solver = frame
    random = np.random.default_rng(0).uniform(-0.9, 1.0, (100, 18))
    starts = np.concatenate([np.zeros((1, 18)), random])
    solution = solver.fit(starts, case.targets, tolerance=1e-20)
    assert (solution.result.numpy() == ef.Result.converged).all()
    actual = [0.05, 0.05, -0.05, -0.10, 0.10, -0.15, 0.15, 0.25, -0.10]
    actual += [0.20, 0.30, 0.25, -0.15, 0.05, -0.15, 0.10, 0.20, 0.20]
    np.testing.assert_allclose(
        solution.parameters, np.tile(actual, (101, 1)), atol=1e-7
    )


def test_all_six_stiffness_sets_of_the_laboratory_frame():
    """T8: measured frequencies of four storeys."""
    case = _load("lab-frame-4")
    found = ef.multistart(
        ef.Solver(case.problem), case.targets, starts=128, seed=0, tolerance=1e-20
    )
    published = np.array(
        [
            [6.231687, 9.650014, 11.298991, 11.322408],
            [7.178063, 8.078609, 9.033779, 14.685837],
            [13.990489, 5.90644, 5.472218, 17.013354],
            [18.497037, 4.185971, 15.572091, 6.380677],
            [31.789221, 4.969194, 5.254058, 9.269395],
            [32.558536, 4.332299, 7.584165, 7.191525],
        ]
    )
    order = np.argsort(found.parameters[:, 0])
    np.testing.assert_allclose(found.parameters[order], published, atol=1e-6)
    assert found.counts.sum() == found.num_converged >= 120
    assert (found.counts >= 1).all()


@pytest.mark.parametrize(("spread", "least"), [(0.05, 39), (0.20, 32)])
def test_gallium_arsenide_from_perturbed_starts(gaas, spread, least):
    """T10: 13 parameters from 30 levels at three k-points, most levels degenerate."""
    case, solver = gaas
    noise = np.random.default_rng(0).uniform(-1, 1, (40, 13))
    starts = case.answer * (1 + spread * noise)
    solution = solver.fit(starts, case.targets, tolerance=1e-16)
    solved = solution.result.numpy() == ef.Result.converged
    assert solved.sum() >= least
    levels = case.problem.values(solution.parameters, case.targets).numpy()
    np.testing.assert_allclose(
        levels[solved], np.tile(case.targets, (solved.sum(), 1)), atol=1e-7
    )


@pytest.fixture(scope="module")
def gaas():
    case = _load("gaas-bands")
    return case, ef.Solver(case.problem)


def test_crystal_field_with_its_tie():
    """T15: B44 = 5 B40, B64 = -21 B60; doublet and quartet 360 B40 apart."""
    case = _load("cerium-crystal-field")
    assert case.problem.num_parameters < len(case.problem.all_names)
    solution = ef.Solver(case.problem).fit(case.initial, case.targets, tolerance=1e-20)
    assert solution.result == ef.Result.converged
    everything = dict(
        zip(
            case.problem.all_names,
            case.problem.expand(solution.parameters).numpy(),
            strict=True,
        )
    )
    assert everything["B44"] == pytest.approx(5 * everything["B40"])
    assert everything["B40"] == pytest.approx(1.0, abs=1e-6)
    gaps = np.diff(solution.eigenvalues)
    np.testing.assert_allclose(gaps, [0, 360, 0, 0, 0], atol=1e-7)


def test_jacobi_matrices_by_fitting():
    """T12 and T13: what the direct methods give, found by a fit."""
    for name in ("jacobi-two-spectra", "clement"):
        case = _load(name)
        solution = ef.Solver(case.problem).fit(
            case.initial, case.targets, tolerance=1e-20
        )
        assert solution.result == ef.Result.converged
        assert case.compare(solution).reproduced


def test_infeasible_problem_ends_with_the_least_squares_answer():
    """The trace is fixed at 0, the targets add up to 3."""
    X, Z = [[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, -1.0]]
    problem = ef.Problem(ef.Affine([X, Z]))
    solution = ef.Solver(problem).fit([0.3, 0.1], [0.5, 2.5])
    assert solution.result == ef.Result.stationary
    np.testing.assert_allclose(solution.eigenvalues, [-1, 1], atol=1e-7)
    with pytest.raises(ef.FitError, match="targets are not met"):
        solution.raise_for_result()


def test_undetermined_combination_is_named():
    """Only the sum of two parameters moves a level."""
    problem = ef.Problem(
        ef.Affine([np.eye(3), np.eye(3), np.diag([1.0, 2.0, 3.0])]),
        parameters=ef.Parameters(["shift", "offset", "slope"]),
    )
    solution = ef.Solver(problem).fit([0.0, 0.0, 1.0], [2.0, 4.0, 6.0])
    errors = ef.uncertainty(problem, solution, [2.0, 4.0, 6.0])
    assert errors.rank == 2
    assert errors.undetermined() == ["shift - offset"]
    assert np.isinf(errors.standard_errors[:2]).all()
    assert np.isfinite(errors.standard_errors[2])


def test_joint_problem_inside_a_differentiable_program():
    """The derivative of a solution by its targets, against a second fit."""
    case = _load("lab-frame-4")
    solver = ef.Solver(case.problem)
    targets = tf.constant(case.targets)
    with tf.GradientTape() as tape:
        tape.watch(targets)
        solution = solver.fit(case.initial, targets, tolerance=1e-24)
        first = solution.parameters[0]
    slope = tape.gradient(first, targets).numpy()
    step = 1e-6 * np.array([0.3, -1.0, 0.5, 0.2])
    ends = [
        solver.fit(
            solution.parameters.numpy(), case.targets + s * step, tolerance=1e-24
        )
        for s in (1, -1)
    ]
    difference = (ends[0].parameters[0] - ends[1].parameters[0]) / 2
    assert slope @ step == pytest.approx(float(difference), rel=1e-6)
