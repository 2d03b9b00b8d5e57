"""Fits to draw, and readers of what was drawn."""

import dataclasses
import functools

import numpy as np
from matplotlib.collections import LineCollection

import eigenfit as ef
from eigenfit.fits.fit import Fit


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
