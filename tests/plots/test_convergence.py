import struct
import sys

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.collections import LineCollection, PathCollection

import eigenfit as ef
from eigenfit.plots import plot_convergence

TARGETS = [1.0, 4.0]


def make_solution(num_steps=(4, 2), result=(0, 3), steps=(0, 1, 2, 3, 4), order=2):
    """A solution whose history is made up: level k of start s is 10 s + k + step."""
    num_steps, result = np.asarray(num_steps), np.asarray(result)
    taken = np.minimum(np.asarray(steps), num_steps[..., np.newaxis])
    start = 10 * np.arange(num_steps.size).reshape(num_steps.shape)[..., np.newaxis]
    levels = (start + taken)[..., np.newaxis] + np.arange(order)
    loss = 10.0 ** -taken.astype(float)
    batch = num_steps.shape
    return ef.Solution(
        parameters=tf.zeros([*batch, 3]),
        matrix=tf.zeros([*batch, order, order]),
        eigenvalues=tf.constant(levels[..., -1, :]),
        loss=tf.constant(loss[..., -1]),
        num_steps=tf.constant(num_steps, tf.int32),
        result=tf.constant(result, tf.int32),
        history=ef.History(
            tf.constant(steps, tf.int32), tf.constant(loss), tf.constant(levels)
        ),
    )


def lines_of(axes):
    """Points of every line, one collection a level, by start in order of drawing."""
    found = [c for c in axes.collections if isinstance(c, LineCollection)]
    return [collection.get_segments() for collection in found]


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


def legend_of(axes):
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def test_one_line_for_each_level_and_start():
    upper, lower = plot_convergence(make_solution(), TARGETS).axes
    (worse0, best0), (worse1, best1) = lines_of(upper)
    # Start 0 has the smaller loss and is drawn last; start 1 ended after 2 steps.
    np.testing.assert_array_equal(best0, [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]])
    np.testing.assert_array_equal(best1[:, 1], best0[:, 1] + 1)
    np.testing.assert_array_equal(worse0, [[0, 10], [1, 11], [2, 12]])
    np.testing.assert_array_equal(worse1[:, 1], worse0[:, 1] + 1)
    [(worse, best)] = lines_of(lower)
    np.testing.assert_allclose(best[:, 1], [1, 1e-1, 1e-2, 1e-3, 1e-4])
    np.testing.assert_array_equal(worse[:, 0], [0, 1, 2])


def test_a_line_ends_where_its_start_stopped_between_snapshots():
    solution = make_solution(num_steps=(8, 5), steps=(0, 4, 8))
    upper, _ = plot_convergence(solution, TARGETS).axes
    worse, best = lines_of(upper)[0]
    np.testing.assert_array_equal(best[:, 0], [0, 4, 8])
    np.testing.assert_array_equal(worse, [[0, 10], [4, 14], [5, 15]])


@pytest.mark.parametrize("success", [ef.Result.converged, ef.Result.minimum])
def test_ends_are_marked_by_result(success):
    solution = make_solution(result=(success, ef.Result.stalled))
    upper, _ = plot_convergence(solution, TARGETS).axes
    marks = [c for c in upper.collections if isinstance(c, PathCollection)]
    ends = [np.asarray(mark.get_offsets()).tolist() for mark in marks]
    # For each level start 0, a success, then start 1, which stalled.
    assert ends == [[[4, 4]], [[2, 12]], [[4, 5]], [[2, 13]]]
    dot, cross = (np.shape(mark.get_paths()[0].vertices) for mark in marks[:2])
    assert dot != cross


def test_levels_have_colours_and_starts_have_styles():
    upper, lower = plot_convergence(make_solution(), TARGETS).axes
    first, second = (c for c in upper.collections if isinstance(c, LineCollection))
    colours = [np.asarray(lines.get_colors()) for lines in (first, second)]
    assert (colours[0][-1] != colours[1][-1]).any()
    worse, best = colours[0]
    np.testing.assert_array_equal(worse[:3], best[:3])
    assert worse[3] < best[3] == 1
    assert first.get_linestyle()[0] != first.get_linestyle()[1]
    assert legend_of(upper) == ["level 0", "level 1"]
    assert legend_of(lower) == [
        "start 0 (best): converged after 4",
        "start 1: stalled after 2",
    ]


def test_targets_and_tolerance_are_dashed_and_labelled():
    figure = plot_convergence(make_solution(), TARGETS, tolerance=1e-3)
    upper, lower = figure.axes
    lines = [line for line in upper.lines if line.get_linestyle() == "--"]
    dashed = [np.asarray(line.get_ydata())[0] for line in lines]
    assert dashed == [1.0, 4.0]
    assert texts_of(upper) == ["target 1", "target 4"]
    assert [np.asarray(line.get_ydata())[0] for line in lower.lines] == [1e-3]
    assert texts_of(lower) == ["tolerance\n0.001"]
    assert lower.get_yscale() == "log"


def test_equal_targets_are_one_line_and_near_ones_share_a_label():
    upper, _ = plot_convergence(make_solution(), [1.0, 1.0]).axes
    assert (len(upper.lines), texts_of(upper)) == (1, ["target 1"])
    upper, _ = plot_convergence(make_solution(), [1.0, 1.1]).axes
    assert (len(upper.lines), texts_of(upper)) == (2, ["target 1, 1.1"])
    upper, _, _ = plot_convergence(make_solution(order=9), np.arange(9.0)).axes
    assert (len(upper.lines), texts_of(upper)) == (9, ["9 targets,\n0 to 8"])


def test_chosen_levels():
    solution = make_solution(order=5)
    upper, _ = plot_convergence(solution, TARGETS, indices=[0, -1]).axes
    assert len(lines_of(upper)) == 5
    assert len(upper.lines) == 2


def test_a_single_start_needs_no_start_dimension():
    solution = make_solution(num_steps=4, result=0)
    upper, lower = plot_convergence(solution, TARGETS).axes
    assert [len(lines) for lines in lines_of(upper)] == [1, 1]
    assert legend_of(lower) == []


def test_two_batch_dimensions_and_targets_for_each():
    num_steps = [[4, 2, 3], [1, 1, 4]]
    targets = np.arange(12.0).reshape(2, 3, 2)
    solution = make_solution(num_steps=num_steps, result=np.zeros([2, 3]))
    upper, _ = plot_convergence(solution, targets).axes
    assert [len(lines) for lines in lines_of(upper)] == [6, 6]
    assert len(upper.lines) == 12


def test_legend_stays_small_with_many_starts():
    solution = make_solution(num_steps=np.full(500, 4), result=np.zeros(500))
    upper, lower = plot_convergence(solution, TARGETS).axes
    assert [len(lines) for lines in lines_of(upper)] == [500, 500]
    assert legend_of(lower) == [
        "start 0 (best): converged after 4",
        "the other 499 starts",
    ]


def test_many_levels_get_a_colour_bar():
    solution = make_solution(order=20)
    figure = plot_convergence(solution, np.arange(20.0))
    upper, _, bar = figure.axes
    assert legend_of(upper) == []
    assert bar.get_ylabel() == "level"
    assert len(lines_of(upper)) == 20


def test_zero_and_nan_losses():
    solution = make_solution()
    history = solution.history
    loss = history.loss.numpy()
    loss[0, -1], loss[1] = 0.0, np.nan
    solution = solution._replace(
        loss=tf.constant([0.0, np.nan]),
        history=history._replace(loss=tf.constant(loss)),
    )
    figure = plot_convergence(solution, TARGETS)
    _, lower = figure.axes
    best = lines_of(lower)[0][-1]
    np.testing.assert_allclose(best[:, 1], [1, 1e-1, 1e-2, 1e-3, 1e-4])
    figure.canvas.draw()


def test_picture_has_the_size_and_the_labels(tmp_path):
    path = tmp_path / "a.png"
    figure = plot_convergence(make_solution(), TARGETS, path=path, title=r"No $\maths$")
    assert struct.unpack(">II", path.read_bytes()[16:24]) == (800, 700)
    assert figure.get_suptitle() == r"No $\maths$"
    upper, lower = figure.axes
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("eigenvalue", "loss")
    assert lower.get_xlabel() == "step"


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_suffix_chooses_the_format(tmp_path, suffix, start):
    path = tmp_path / f"a.{suffix}"
    plot_convergence(make_solution(), TARGETS, path=path)
    assert path.read_bytes().startswith(start)


def test_no_global_state(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    plot_convergence(make_solution(), TARGETS)
    assert "matplotlib.pyplot" not in sys.modules


def test_history_is_needed():
    solution = make_solution()._replace(history=None)
    with pytest.raises(
        ValueError, match=r"`solution` has no history.*`record_every=1`"
    ):
        plot_convergence(solution, TARGETS)


def test_targets_must_fit():
    with pytest.raises(ValueError, match=r"`targets` must have shape \[\.\.\., 2\]"):
        plot_convergence(make_solution(), [1.0, 2.0, 3.0])


def test_an_empty_batch_is_refused():
    solution = make_solution(num_steps=np.zeros([0], int), result=np.zeros([0], int))
    with pytest.raises(ValueError, match="`solution` is an empty batch"):
        plot_convergence(solution, TARGETS)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "eigenfit\[plots\]"'):
        plot_convergence(make_solution(), TARGETS)


def test_a_real_fit():
    problem = ef.Problem(ef.Symmetric(3))
    solver = ef.Solver(problem, method=ef.Adam(learning_rate=0.02))
    starts = np.random.default_rng(0).uniform(size=[4, 6])
    solution = solver.fit(starts, [1.0, 1.0, 1.0], tolerance=1e-4, record_every=1)
    upper, lower = plot_convergence(solution, [1.0, 1.0, 1.0], tolerance=1e-4).axes
    for lines in lines_of(upper):
        for line in lines:
            assert abs(line[-1, 1] - 1) < 1e-2
    for line in lines_of(lower)[0]:
        assert line[-1, 1] <= 1e-4 < line[-2, 1]
    assert sorted(line[-1, 0] for line in lines_of(lower)[0]) == sorted(
        solution.num_steps.numpy()
    )
