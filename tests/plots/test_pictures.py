"""What pictures of one fit show is what the fit found."""

import dataclasses
import functools
import sys

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import eigenfit as ef
from eigenfit import plots
from eigenfit.fits.fit import Fit
from eigenfit.reports.sections import OUTLIER


def fitted(problem, initial, targets, **options):
    fit = ef.Solver(problem).fit(initial, targets, **options)
    assert isinstance(fit, Fit)
    return fit


@functools.cache
def three_lines():
    lines = ef.Differences([(1, 0), (2, 0), (2, 1)])
    problem = ef.Problem(ef.Additive(np.ones([3, 3])), lines)
    return fitted(problem, [0.0, 1.0, 2.0], [3.0, 5.1, 2.05]).record()


def spectrum(m=3, sigma=0.1):
    """A record of m made-up lines, and no fit behind it."""
    record = three_lines()
    rng = np.random.default_rng(0)
    targets = np.sort(rng.uniform(1.0, 9.0, m))
    question = dataclasses.replace(
        record.question,
        title="Lines",
        target_names=tuple(f"line {k}" for k in range(m)),
        parts=(slice(0, m),),
        weights=np.full(m, sigma**-2.0),
        has_sigma=np.full(m, True),
        places=np.tile([0, -1, -1], [m, 1]),
    )
    values = targets + sigma * rng.standard_normal(m)
    return dataclasses.replace(
        record, question=question, targets=targets, values=values
    )


def sticks_of(axes):
    """Ends of the vertical lines in each collection."""
    found = [c for c in axes.collections if isinstance(c, LineCollection)]
    return [np.array(collection.get_segments()) for collection in found]


def points_of(axes):
    """Position of every point that a marker shows, `[k, 2]`."""
    lines = [x for x in axes.lines if x.get_marker() not in ("None", "", None)]
    return np.concatenate([np.array(x.get_data()).T for x in lines])


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


def ticks_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def sizes_of(figure):
    import matplotlib.text

    shown = figure.findobj(matplotlib.text.Text)
    return [text.get_fontsize() for text in shown if text.get_text()]


def test_sticks_stand_at_data_and_differences_below():
    record = spectrum(8)
    sticks, below = plots.plot_sticks(record, quantity="frequency / MHz")
    up, down = sticks_of(sticks)[:2]
    np.testing.assert_array_equal(up[:, 0, 0], record.targets)
    np.testing.assert_array_equal(up[:, 1, 1], 1)
    np.testing.assert_array_equal(down[:, 0, 0], record.values)
    np.testing.assert_array_equal(down[:, 1, 1], -1)
    points = points_of(below)
    np.testing.assert_array_equal(points[:, 0], record.targets)
    np.testing.assert_array_equal(points[:, 1], -record.deviations)
    assert texts_of(sticks) == [f"line {k}" for k in range(8)]
    assert below.get_xlabel() == "frequency / MHz"
    assert sorted(set(below.get_xlim()) ^ set(sticks.get_xlim())) == []


def test_lines_at_one_and_two_sigmas_have_styles_of_their_own():
    _, below = plots.plot_sticks(spectrum())
    levels = {}
    for line in below.lines:
        y = np.asarray(line.get_ydata())
        if len(y) == 2 and y[0] == y[1]:
            levels[float(y[0])] = str(line.get_linestyle()) + str(line._dash_pattern)
    assert levels.keys() >= {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert len({levels[k] for k in (0.0, 1.0, 2.0)}) == 3
    assert levels[1.0] == levels[-1.0]


def test_outliers_have_a_marker_of_their_own():
    record = spectrum(6)
    record.values[2] = record.targets[2] + 0.1 * (OUTLIER + 1)
    sticks, below = plots.plot_sticks(record)
    marked = [x for x in below.lines if x.get_marker() == "X"]
    assert [np.asarray(x.get_ydata()).tolist() for x in marked] == [
        [-record.deviations[2]]
    ]
    usual = [x for x in below.lines if x.get_marker() == "o"]
    assert len(np.asarray(usual[0].get_xdata())) == 5
    [cross] = [x for x in sticks.lines if x.get_marker() == "X"]
    assert np.asarray(cross.get_xdata()).tolist() == [record.values[2]]


def test_without_sigma_differences_are_in_units():
    record = spectrum()
    question = dataclasses.replace(
        record.question, has_sigma=np.full(3, False), weights=np.ones(3)
    )
    record = dataclasses.replace(record, question=question)
    _, below = plots.plot_sticks(record, quantity="frequency / MHz")
    assert below.get_ylabel() == "obs. − calc. / MHz"
    np.testing.assert_array_equal(points_of(below)[:, 1], -record.differences)
    question = dataclasses.replace(question, weights=np.array([1.0, 4.0, 9.0]))
    record = dataclasses.replace(record, question=question)
    _, below = plots.plot_sticks(record)
    assert below.get_ylabel() == "(obs. − calc.) × √weight"
    np.testing.assert_allclose(
        points_of(below)[:, 1], -record.differences * [1.0, 2.0, 3.0]
    )


def test_labels_and_intensities_may_be_given():
    record = spectrum()
    sticks, _ = plots.plot_sticks(
        record, labels=["a", "b", "$c$"], intensities=[1.0, 4.0, 2.0]
    )
    assert texts_of(sticks) == ["a", "b", "$c$"]
    assert not any(text.get_parse_math() for text in sticks.texts)
    np.testing.assert_allclose(sticks_of(sticks)[0][:, 1, 1], [0.25, 1.0, 0.5])
    with pytest.raises(ValueError, match="`labels` has 2 entries for 3 targets"):
        plots.plot_sticks(record, labels=["a", "b"])
    with pytest.raises(ValueError, match="`intensities` has 4 entries"):
        plots.plot_sticks(record, intensities=np.ones(4))


def overlaps(texts, figure):
    """Pairs of texts whose boxes share more than a pixel."""
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts]
    return [
        (a.get_text(), b.get_text())
        for k, (a, one) in enumerate(zip(texts, boxes, strict=True))
        for b, two in zip(texts[k + 1 :], boxes[k + 1 :], strict=True)
        if min(one.x1, two.x1) - max(one.x0, two.x0) > 1
        and min(one.y1, two.y1) - max(one.y0, two.y0) > 1
    ]


def test_three_thousand_lines_with_labels_that_do_not_overlap():
    record = spectrum(3000)
    record.values[1234] = record.targets[1234] + 1.0
    sticks, below = plots.plot_sticks(record)
    figure = sticks.figure
    figure.canvas.draw()
    assert [len(x) for x in sticks_of(sticks)[:2]] == [3000, 3000]
    assert len(points_of(below)) == 3000
    assert 10 < len(sticks.texts) < 80
    assert "line 1234" in texts_of(sticks)
    assert overlaps(sticks.texts, figure) == []


def test_forty_lines_in_a_heap_keep_labels_apart():
    record = spectrum(40)
    targets = np.concatenate([np.linspace(5.0, 5.01, 39), [9.0]])
    record = dataclasses.replace(record, targets=targets, values=targets + 0.01)
    sticks, _ = plots.plot_sticks(record)
    sticks.figure.canvas.draw()
    assert len(sticks.texts) == 40
    assert overlaps(sticks.texts, sticks.figure) == []
    renderer = sticks.figure.canvas.get_renderer()
    frame = sticks.get_window_extent(renderer)
    for text in sticks.texts:
        box = text.get_window_extent(renderer)
        assert frame.x0 - 1 <= box.x0
        assert box.x1 <= frame.x1 + 1
        assert box.y1 <= frame.y1 + 1


def test_a_level_diagram_names_what_coincides():
    shifted = ef.FreeShift(ef.Levels(sigma=0.1))
    problem = ef.Problem(ef.Affine([np.diag([0.0, 0.0, 1.0, 1.0, 1.0, 3.0])]), shifted)
    targets = [5.0, 5.0, 7.0, 7.0, 7.4, 11.0]
    record = fitted(problem, [1.5], targets).record()
    diagram, beside = plots.plot_levels(record, quantity="energy / meV")
    observed, calculated = sticks_of(diagram)[:2]
    np.testing.assert_array_equal(observed[:, 0, 1], targets)
    np.testing.assert_allclose(calculated[:, 0, 1], record.values)
    assert (observed[:, 1, 0] < calculated[:, 0, 0]).all()
    written = texts_of(diagram)
    assert written[:4] == ["5.000 × 2", "7.000 × 2", "7.400", "11.000"]
    assert [text[-3:] for text in written[4:]] == ["× 2", "× 3", written[-1][-3:]]
    sides = {(text.get_position()[0] < 0, text.get_ha()) for text in diagram.texts[:4]}
    assert sides == {(True, "right")}
    end = calculated[:, 1, 0].max()
    assert all(text.get_position()[0] > end for text in diagram.texts[4:])
    assert {text.get_ha() for text in diagram.texts[4:]} == {"left"}
    np.testing.assert_allclose(points_of(beside)[:, 0], -record.deviations)
    np.testing.assert_array_equal(points_of(beside)[:, 1], targets)
    assert diagram.get_ylabel() == "energy / meV"
    assert ticks_of(diagram.xaxis) == ["observed", "calculated"]


def test_levels_without_targets_are_dotted():
    problem = ef.Problem(ef.Symmetric(3), ef.Levels([0, 2]))
    record = fitted(problem, np.arange(6.0), [1.0, 2.0]).record()
    (diagram,) = plots.plot_levels(record, Figure().subplots())
    styles = [c.get_linestyle()[0][1] for c in diagram.collections]
    observed, calculated, rest = sticks_of(diagram)[:3]
    assert [len(x) for x in (observed, calculated, rest)] == [2, 2, 1]
    assert rest[0, 0, 1] == record.eigenvalues[1]
    assert styles[0] is None
    assert styles[2] is not None


def test_levels_from_one_of_them_have_their_zero_there():
    problem = ef.Problem(ef.Additive(np.eye(3)), ef.RelativeTo(0))
    record = fitted(problem, [0.5, 1.0, 2.0], [1.0, 3.0]).record()
    diagram, _ = plots.plot_levels(record)
    zero = sticks_of(diagram)[2]
    np.testing.assert_allclose(zero[0, :, 1], 0, atol=1e-9)


def test_levels_that_crowd_have_numbers_apart():
    rng = np.random.default_rng(0)
    targets = np.sort(np.concatenate([5 + 0.01 * rng.random(25), [0.0, 9.0]]))
    problem = ef.Problem(ef.Additive(np.zeros([27, 27])), ef.Levels())
    record = fitted(problem, targets + 0.1, targets).record()
    diagram, _ = plots.plot_levels(record)
    diagram.figure.canvas.draw()
    assert overlaps(diagram.texts, diagram.figure) == []


def sweep(labels=("0.5", "1.0", "2.5"), observed=None):
    coupling = np.array([[0.0, 1.0], [1.0, 0.0]])
    blocks = [
        ef.Block(ef.Affine([coupling], np.diag([-x, x])), observed, label)
        for label, x in zip(labels, (0.5, 1.0, 2.5), strict=True)
    ]
    targets = np.array([[-y, y] for y in np.sqrt([1.25, 2.0, 7.25])]).ravel()
    return ef.Problem(blocks), targets


@functools.cache
def swept():
    problem, targets = sweep(observed=ef.Levels(sigma=0.01))
    return fitted(problem, [0.9], targets)


@functools.cache
def unanswered(kind):
    known = vibrating()[0] if kind == "modes" else swept()
    start = np.full(known.parameters.shape, np.nan)
    return fitted(known.asked.problem, start, known.targets)


@functools.cache
def of_symmetric():
    return fitted(ef.Problem(ef.Symmetric(2)), np.ones(3), [1.0, 2.0])


def test_bands_stand_at_numeric_labels():
    record, targets = swept().record(), swept().targets
    levels, below = plots.plot_bands(record, axis="field / T", quantity="energy / K")
    lines = [x for x in levels.lines if len(np.asarray(x.get_xdata())) == 3]
    np.testing.assert_array_equal(lines[0].get_xdata(), [0.5, 1.0, 2.5])
    np.testing.assert_allclose(
        np.stack([x.get_ydata() for x in lines], axis=-1), np.stack(record.levels)
    )
    points = points_of(levels)[:6]
    np.testing.assert_array_equal(points[:, 0], np.repeat([0.5, 1.0, 2.5], 2))
    np.testing.assert_array_equal(points[:, 1], targets)
    assert levels.get_legend() is not None
    assert below.get_xlabel() == "field / T"
    np.testing.assert_array_equal(points_of(below)[:, 1], -record.deviations)
    assert any(isinstance(c, LineCollection) for c in levels.collections)  # sigmas


def test_bands_at_words_are_bars_in_their_order():
    problem, targets = sweep(("L", "G$", "X"))
    record = fitted(problem, [0.9], targets).record()
    levels, below = plots.plot_bands(record, places=[1.0, 0.0, 3.0])
    assert points_of(levels)[:, 0].tolist() == [1, 1, 0, 0, 3, 3]
    levels, below = plots.plot_bands(record)
    assert ticks_of(below.xaxis) == ["L", "G$", "X"]
    bars = sticks_of(levels)
    assert [x[0, :, 0].mean() for x in bars] == [0, 1, 2]
    np.testing.assert_allclose([x[:, 0, 1] for x in bars], np.stack(record.levels))
    with pytest.raises(ValueError, match="`places` has 2 entries for 3 blocks"):
        plots.plot_bands(record, places=[0, 1])


def test_transitions_of_a_sweep():
    problem, targets = sweep(observed=ef.Differences([(1, 0)]))
    record = fitted(problem, [0.9], targets[1::2] * 2).record()
    assert plots.chosen(record) == "bands"
    levels, _ = plots.plot_bands(record)
    np.testing.assert_array_equal(points_of(levels)[:, 1], targets[1::2] * 2)
    [line] = [x for x in levels.lines if len(np.asarray(x.get_xdata())) == 3][:1]
    np.testing.assert_allclose(line.get_ydata(), record.values)


def test_many_blocks():
    fields = np.linspace(0, 3, 200)
    roots = np.sqrt(1 + fields**2)
    targets = np.stack([-roots, roots], axis=-1).ravel()
    # Made up: a fit of so many blocks takes long to compile.
    record = swept().record()
    place = np.arange(400)
    question = dataclasses.replace(
        record.question,
        labels=tuple(f"at {x:.3f}" for x in fields),
        orders=(2,) * 200,
        kinds=("levels",) * 200,
        parts=tuple(slice(2 * k, 2 * k + 2) for k in range(200)),
        places=np.stack([place // 2, place % 2, place * 0 - 1], axis=-1),
        has_sigma=np.full(400, True),
        weights=np.full(400, 1e4),
        target_names=tuple(f"level {k}" for k in place),
    )
    record = dataclasses.replace(
        record,
        question=question,
        targets=targets,
        values=targets + 0.003,
        eigenvalues=targets + 0.003,
    )
    levels, below = plots.plot_bands(record)
    levels.figure.canvas.draw()
    labels = [text for text in below.get_xticklabels() if text.get_text()]
    assert 3 < len(labels) < 60
    assert overlaps(labels, levels.figure) == []


def chain(observations):
    K = ef.Affine(
        [
            np.diag([1.0, 0, 0]),
            [[1.0, -1, 0], [-1, 1, 0], [0, 0, 0]],
            [[0.0, 0, 0], [0, 1, -1], [0, -1, 1]],
        ]
    )
    return ef.Problem(ef.Generalized(K, [1.0, 2.0, 1.0]), observations=observations)


@functools.cache
def vibrating():
    problem = chain(
        [ef.Frequencies([0, 1], sigma=0.001), ef.ModeShapes([0, 1], [0, 2], "unit")]
    )
    exact = [30.0, 20.0, 10.0]
    shapes = np.ones(4)
    targets = problem.values(exact, [0.2, 0.5, *shapes]).numpy()
    return fitted(problem, [28.0, 21.0, 11.0], targets), targets


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


def test_numbers_of_different_kinds_have_names_below():
    problem = chain([ef.Frequencies([0]), ef.Levels([1]), ef.Differences([(2, 0)])])
    record = fitted(problem, [28.0, 21.0, 11.0], [0.3, 12.0, 60.0]).record()
    assert plots.chosen(record) == "differences"
    axes = plots.plot_differences(record)
    assert ticks_of(axes.xaxis) == list(record.question.target_names)
    np.testing.assert_array_equal(points_of(axes)[:, 1], -record.differences)


def test_the_choice():
    def chosen(problem, initial, targets):
        return plots.chosen(fitted(problem, initial, targets).record())

    assert plots.chosen(of_symmetric().record()) == "levels"
    assert plots.chosen(three_lines()) == "sticks"
    assert plots.chosen(swept().record()) == "bands"
    pair = [ef.Affine([np.eye(n)]) for n in (1, 2)]
    assert chosen(ef.Problem(pair), [0.9], [1.0, 1.0, 1.0]) == "levels"
    assert plots.chosen(vibrating()[0].record()) == "modes"
    joint = ef.Differences([(("0", 0), ("1", 1))])
    problem = ef.Problem(pair, observations=[joint])
    assert chosen(problem, [0.9], [1.0]) == "sticks"


@pytest.mark.parametrize("kind", list(plots.PICTURES))
def test_a_picture_has_no_small_letters_and_no_global_state(monkeypatch, kind):
    import matplotlib

    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    before = dict(matplotlib.rcParams)
    fit = vibrating()[0] if kind == "modes" else swept()
    title = r"A title that is far too long, with $\maths$ in it and \nothing. " * 6
    figure = fit.plot(kind=kind, title=title)
    figure.canvas.draw()
    assert figure.get_size_inches()[0] * figure.dpi == 800
    assert min(map(float, sizes_of(figure))) >= 9
    assert figure.get_suptitle().count("\n") == 1
    assert "matplotlib.pyplot" not in sys.modules
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("kind", list(plots.PICTURES))
def test_a_fit_without_an_answer_says_so(kind):
    fit = unanswered("modes" if kind == "modes" else "")
    if kind == "correlations":
        with pytest.raises(ValueError, match="no errors"):
            fit.plot(kind=kind)
        return
    figure = fit.plot(kind=kind)
    figure.canvas.draw()
    written = [text for part in figure.axes for text in texts_of(part)]
    assert "no values\nwere calculated" in written or kind == "modes"


def test_the_best_member_of_a_batch_or_another():
    problem = ef.Problem(ef.Affine([np.diag([1.0, 2.0])]))
    fit = fitted(problem, [[0.5], [0.7]], [[1.0, 5.0], [1.0, 2.0]])

    def drawn(figure):
        return sticks_of(figure.axes[0])[0][:, 0, 1].tolist()

    assert drawn(fit.plot()) == [1.0, 2.0]
    assert drawn(fit.plot(0)) == [1.0, 5.0]
    with pytest.raises(IndexError, match="`member`"):
        fit.plot(2)


def test_axes_may_be_given():
    record = spectrum()
    figure = Figure()
    (own,) = plots.plot_sticks(record, figure.subplots())
    assert own.figure is figure
    assert plots.picture_of(record, figure.subplots(2)) is figure
    with pytest.raises(ValueError, match="`axes` must hold 2 axes or fewer"):
        plots.plot_sticks(record, figure.subplots(3))
    with pytest.raises(ValueError, match="`kind` must be one of 'sticks'"):
        plots.picture_of(record, kind="pie")
    with pytest.raises(TypeError, match="No picture takes the option 'colour'"):
        plots.picture_of(record, colour="red")


def test_the_convergence_of_a_fit():
    problem = ef.Problem(ef.Symmetric(3), ef.Levels([0, 2]))
    fit = fitted(problem, np.arange(6.0), [1.0, 2.0], record_every=1)
    upper, lower = fit.plot_convergence(title="Two of three").axes
    assert sorted(np.asarray(x.get_ydata())[0] for x in upper.lines) == [1.0, 2.0]
    assert lower.get_ylabel() == "loss"
    with pytest.raises(ValueError, match="no history"):
        fitted(problem, np.arange(6.0), [1.0, 2.0]).plot_convergence()


def test_the_convergence_shows_no_targets_of_shifted_levels():
    problem = ef.Problem(ef.Affine([np.diag([0.0, 1.0])]), ef.FreeShift(ef.Levels()))
    fit = fitted(problem, [0.5], [5.0, 7.0], record_every=1)
    upper, _ = fit.plot_convergence().axes
    assert len(upper.lines) == 0
    mixed = ef.Problem(
        ef.Affine([np.diag([0.0, 1.0, 3.0])]),
        observations=[ef.Differences([(1, 0)]), ef.Levels([2])],
    )
    upper, _ = fitted(mixed, [0.5], [2.0, 6.0], record_every=1).plot_convergence().axes
    assert [np.ravel(x.get_ydata()).item(0) for x in upper.lines] == [6.0]


@pytest.mark.parametrize("kind", list(plots.PICTURES))
def test_without_matplotlib_the_error_names_the_extra(monkeypatch, kind):
    fits = {"bands": swept, "levels": of_symmetric}
    fit = fits[kind]() if kind in fits else vibrating()[0]
    record = fit.record()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "eigenfit\[plots\]"'):
        plots.picture_of(record, kind=kind)


def test_what_a_picture_cannot_show():
    record = spectrum()
    with pytest.raises(ValueError, match="No levels were observed"):
        plots.plot_levels(record)
    with pytest.raises(ValueError, match="Neither frequencies nor mode shapes"):
        plots.plot_modes(record)
    joint = dataclasses.replace(record.question, places=np.full([3, 3], -1))
    with pytest.raises(ValueError, match="No levels of blocks"):
        plots.plot_bands(dataclasses.replace(record, question=joint))
