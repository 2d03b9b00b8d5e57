"""The choice of a picture, and what holds for all of them."""

import dataclasses
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.plots.drawn import (
    fitted,
    of_symmetric,
    sizes_of,
    spectrum,
    sticks_of,
    swept,
    texts_of,
    three_lines,
    unanswered,
    vibrating,
)

import eigenfit as ef
from eigenfit import plots


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
