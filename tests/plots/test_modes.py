"""Mode shapes, correlations and profiles show what was found."""

import dataclasses

import numpy as np
import pytest
from tests.plots.drawn import chain, fitted, points_of, texts_of, ticks_of, vibrating

import eigenfit as ef
from eigenfit import plots


def test_mode_shapes_measured_and_calculated():
    fit, targets = vibrating()
    record = fit.record()
    axes = plots.plot_modes(record, quantity="frequency / Hz")
    assert len(axes) == 4
    for k, part in enumerate(axes[:2]):
        by_label = {x.get_label(): np.array(x.get_data()).T for x in part.lines}
        measured = targets[2 + 2 * k : 4 + 2 * k]
        np.testing.assert_array_equal(by_label["measured"][:, 0], [0, 2])
        np.testing.assert_array_equal(by_label["measured"][:, 1], measured)
        whole = by_label["calculated"]
        np.testing.assert_array_equal(whole[:, 0], [0, 1, 2])
        np.testing.assert_allclose(whole[[0, 2], 1], measured, atol=1e-6)
        assert part.get_title() == f"mode {k + 1}: {targets[k]:#.4g} Hz"
    lines = axes[0].lines
    styles = {x.get_label(): (x.get_marker(), x.get_linestyle()) for x in lines}
    assert styles["measured"] != styles["calculated"]
    frequencies, agreement = axes[2:]
    share = 100 * -record.differences[:2] / targets[:2]
    np.testing.assert_allclose(points_of(frequencies)[:2, 1], share)
    assert agreement.get_title() == "MAC"
    criterion = np.asarray(agreement.images[0].get_array())
    V = np.stack([targets[2:4], targets[4:6]])
    expected = ef.mac(V, V)
    np.testing.assert_allclose(criterion, expected, atol=1e-6)
    assert texts_of(agreement) == [f"{x:.2f}" for x in expected.ravel()]


def test_modes_that_stand_upright_on_the_ground():
    fit, targets = vibrating()
    axes = plots.plot_modes(
        fit.record(), upright=True, places=[1, 2, 3], supports=[0], axis="floor"
    )
    by_label = {x.get_label(): np.array(x.get_data()).T for x in axes[0].lines}
    np.testing.assert_array_equal(by_label["measured"][:, 1], [1, 3])
    np.testing.assert_array_equal(by_label["measured"][:, 0], targets[2:4])
    np.testing.assert_array_equal(by_label["calculated"][:, 1], [0, 1, 2, 3])
    assert by_label["calculated"][0, 0] == 0
    assert axes[0].get_ylabel() == "floor"
    with pytest.raises(ValueError, match=r"`places` must have shape \[3\]"):
        plots.plot_modes(fit.record(), places=[1, 2])


def test_frequencies_alone_show_the_calculated_shapes(tmp_path):
    problem = chain([ef.Frequencies([0, 2])])
    fit = fitted(problem, [28.0, 21.0, 11.0], [0.3, 1.2])
    fit.save(tmp_path / "fit.npz")
    again = ef.load(tmp_path / "fit.npz")
    assert plots.chosen(fit.record()) == "modes"
    modes = np.asarray(problem.modes(fit.parameters)[0])
    for record in (fit.record(), again.record()):
        axes = plots.plot_modes(record)
        assert len(axes) == 3
        for part, level in zip(axes, (0, 2), strict=False):
            [whole] = [x for x in part.lines if x.get_label() == "calculated"]
            x = modes[:, level]
            np.testing.assert_allclose(whole.get_ydata(), x / x[np.abs(x).argmax()])


def test_the_agreement_with_given_shapes_is_written():
    given = ef.MAC([0], [[1.0, 2.0, 3.0]])
    problem = chain([ef.Frequencies([0, 1, 2]), given])
    record = fitted(problem, [28.0, 21.0, 11.0], [0.3, 0.7, 1.2, 1.0]).record()
    assert plots.chosen(record) == "modes"
    titles = [axes.get_title() for axes in plots.plot_modes(record)]
    assert titles[0] == f"mode 1: 0.3000, MAC {record.values[3]:.3f}"
    assert len(titles) == 4


def test_correlations_are_readable_without_colour():
    names = ["a", "b", "$c$"]
    structure = ef.Affine([np.diag([0.0, 1, 2]), np.ones([3, 3]), np.eye(3)])
    problem = ef.Problem(
        structure,
        observations=[ef.Levels(sigma=0.1), ef.Differences([(1, 0)], sigma=0.1)],
        parameters=ef.Parameters(names, bounds={"$c$": (0.0, None)}),
    )
    fit = fitted(problem, [1.0, 0.5, 0.1], [0.1, 1.3, 3.2, 1.2])
    record = fit.record()
    axes = plots.plot_correlations(record)
    C = record.uncertainty.correlation
    free = record.uncertainty.on_bounds == 0
    image = np.ma.getdata(axes.images[0].get_array())
    np.testing.assert_allclose(image[np.ix_(free, free)], np.abs(C[np.ix_(free, free)]))
    assert ticks_of(axes.xaxis) == names
    assert not any(label.get_parse_math() for label in axes.get_xticklabels())
    hatched = sum(
        len(c.get_paths()) for c in axes.collections if c.get_hatch() == "///"
    )
    assert hatched == (C[np.ix_(free, free)] < 0).sum()
    with pytest.raises(ValueError, match="no errors"):
        plots.plot_correlations(dataclasses.replace(record, uncertainty=None))


def test_profiles_and_contours():
    x = np.linspace(-2, 2, 21)
    first = plots.Curve("a / m", x, x**2, 0.0, (-1.0, 1.0))
    second = plots.Curve("b", x[::-1], np.where(x > 1.5, np.nan, x**2), None)
    axes = plots.plot_profiles([first, second], levels={"68 %": 1.0, "95 %": 3.84})
    assert [part.get_xlabel() for part in axes] == ["a / m", "b"]
    np.testing.assert_array_equal(axes[0].lines[0].get_data(), [x, x**2])
    assert texts_of(axes[0]) == ["68 %", "95 %"]
    styles = [line.get_linestyle() for line in axes[0].lines[1:3]]
    assert styles == ["--", ":"]
    ends = [np.ravel(line.get_xdata()).item(0) for line in axes[0].lines[3:]]
    assert ends == [0.0, -1.0, 1.0]
    grid = x**2 + x[:, np.newaxis] ** 2
    grid[0, 0] = np.nan
    contour = plots.plot_contours(x, x, grid, levels=[1.0, 3.0], value=(0.0, 0.0))
    rings = [c for c in contour.collections if len(c.get_paths())]
    sizes = [np.abs(np.asarray(c.get_paths()[0].vertices)[:, 0]).max() for c in rings]
    np.testing.assert_allclose(sizes, np.sqrt([1.0, 3.0]), rtol=0.01)
    x2, y2 = np.meshgrid(x, x)
    skewed = plots.plot_contours(x2 + y2, y2, grid, levels=[1.0])
    (ring,) = [c for c in skewed.collections if len(c.get_paths())]
    widest = np.abs(np.asarray(ring.get_paths()[0].vertices)[:, 0]).max()
    np.testing.assert_allclose(widest, np.sqrt(2), rtol=0.02)
    with pytest.raises(ValueError, match=r"`rise` must have shape \[21, 21\]"):
        plots.plot_contours(x, x, grid[1:])
    with pytest.raises(ValueError, match="one shape"):
        plots.plot_profiles(plots.Curve("a", x, x[1:]))
    with pytest.raises(ValueError, match="at least one"):
        plots.plot_profiles([])
