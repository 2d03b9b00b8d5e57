"""Level diagrams and bands show the data."""

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from tests.plots.drawn import (
    fitted,
    overlaps,
    points_of,
    sticks_of,
    sweep,
    swept,
    texts_of,
    ticks_of,
)

import eigenfit as ef
from eigenfit import plots


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
        losses=("linear",) * 200,
        loss_scales=(1.0,) * 200,
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
