"""Sticks and differences show the data."""

import dataclasses

import numpy as np
import pytest
from tests.plots.drawn import (
    chain,
    fitted,
    overlaps,
    points_of,
    spectrum,
    sticks_of,
    texts_of,
    ticks_of,
)

import eigenfit as ef
from eigenfit import plots
from eigenfit.observations.robust import OUTLYING


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
    record.values[2] = record.targets[2] + 0.1 * (OUTLYING + 1)
    sticks, below = plots.plot_sticks(record)
    marked = [x for x in below.lines if x.get_marker() == "X"]
    assert [np.asarray(x.get_ydata()).tolist() for x in marked] == [
        [-record.deviations[2]]
    ]
    usual = [x for x in below.lines if x.get_marker() == "o"]
    assert len(np.asarray(usual[0].get_xdata())) == 5
    [cross] = [x for x in sticks.lines if x.get_marker() == "X"]
    assert np.asarray(cross.get_xdata()).tolist() == [record.values[2]]


def test_outliers_of_robust_losses_are_marked_without_sigma_too():
    record = spectrum(6)
    question = dataclasses.replace(
        record.question,
        has_sigma=np.full(6, False),
        weights=np.full(6, 4.0),
        losses=("cauchy",),
        loss_scales=(0.4,),
    )
    record = dataclasses.replace(record, question=question)
    # Weighted by 2, so that differences of 1 are 5 times the scale.
    record.values[2] = record.targets[2] + 1.01
    record.values[3] = record.targets[3] - 0.99
    _, below = plots.plot_sticks(record)
    [cross] = [x for x in below.lines if x.get_marker() == "X"]
    assert np.asarray(cross.get_xdata()).tolist() == [record.targets[2]]
    assert cross.get_label() == "outliers"


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


def test_long_labels_leave_both_halves_their_names():
    names = [f"10(1,{k}) - 10(0,{k + 10})" for k in range(8)]
    sticks, _ = plots.plot_sticks(spectrum(8), labels=names)
    sticks.figure.canvas.draw()
    renderer = sticks.figure.canvas.get_renderer()
    boxes = [x.get_window_extent(renderer) for x in sticks.get_yticklabels()]
    assert ticks_of(sticks.yaxis) == ["observed", "calculated"]
    assert boxes[1].y1 + 2 < boxes[0].y0


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


def test_numbers_of_different_kinds_have_names_below():
    problem = chain([ef.Frequencies([0]), ef.Levels([1]), ef.Differences([(2, 0)])])
    record = fitted(problem, [28.0, 21.0, 11.0], [0.3, 12.0, 60.0]).record()
    assert plots.chosen(record) == "differences"
    axes = plots.plot_differences(record)
    assert ticks_of(axes.xaxis) == list(record.question.target_names)
    np.testing.assert_array_equal(points_of(axes)[:, 1], -record.differences)
