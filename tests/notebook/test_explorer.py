"""Sliders without a browser: what they show, and what the buttons do."""

import io

import numpy as np
import pytest

import eigenfit as ef

pytest.importorskip("ipywidgets")
image = pytest.importorskip("matplotlib.image")

CHAIN = ef.Problem(
    ef.Additive([[0.0, 1.0], [1.0, 0.0]]),
    ef.Levels(sigma=0.1),
    parameters=ef.Parameters(["a", "b"], bounds={"a": (-1.0, 1.0)}),
)
TARGETS = [0.0, 4.0]


@pytest.fixture
def explorer():
    return ef.explore(CHAIN, TARGETS, [0.5, 3.0])


def pixels(explorer):
    return image.imread(io.BytesIO(explorer._image.value))


def levels(parameters):
    return np.linalg.eigvalsh(np.diag(parameters) + np.eye(2)[::-1])


def test_sliders_move_the_levels_and_the_picture(explorer):
    before = pixels(explorer)
    explorer._sliders["b"].value = 2.5
    np.testing.assert_array_equal(explorer.parameters, [0.5, 2.5])
    np.testing.assert_allclose(explorer.values, levels([0.5, 2.5]))
    chi_square = np.sum((levels([0.5, 2.5]) - TARGETS) ** 2) / 0.1**2
    assert f"chi-square {chi_square:.6g}" in explorer._text.value
    assert (pixels(explorer) != before).any()


def test_a_robust_loss_is_not_called_chi_square():
    observed = ef.Levels(sigma=0.1, loss="huber")
    problem = ef.Problem(CHAIN.structure, observed)
    explorer = ef.explore(problem, TARGETS, [0.5, 3.0])
    x = np.abs(levels([0.5, 3.0]) - TARGETS) / 0.1
    assert (x > 1).any()
    loss = np.sum(np.where(x > 1, 2 * x - 1, x**2))
    assert explorer._text.value == f"loss {loss:.6g}"


def test_sliders_span_bounds_or_the_size_of_the_start(explorer):
    spans = {name: (s.min, s.max) for name, s in explorer._sliders.items()}
    assert spans == {"a": (-1.0, 1.0), "b": (0.0, 6.0)}
    explorer.move(b=9.0)
    assert explorer._sliders["b"].max == explorer._sliders["b"].value == 9.0
    free = ef.explore(CHAIN, TARGETS)
    np.testing.assert_array_equal(free.parameters, [0.0, 1.0])


def test_the_fit_button_moves_the_sliders_and_undo_takes_it_back(explorer):
    explorer._sliders["b"].value = 2.9
    explorer._sliders["b"].value = 2.8
    explorer._sliders["a"].value = 0.4
    explorer._buttons["fit"].click()
    expected = explorer.solver.fit([0.4, 2.8], TARGETS)
    np.testing.assert_array_equal(explorer.parameters, expected.parameters)
    np.testing.assert_allclose(levels(explorer.parameters), TARGETS, atol=1e-8)
    assert explorer.last_fit.success
    assert "converged" in explorer._text.value
    assert explorer._sliders["b"].value == explorer.parameters[1]
    seen = []
    while not explorer._buttons["undo"].disabled:
        explorer._buttons["undo"].click()
        seen.append(explorer.parameters.tolist())
    # The two moves of one slider count as one.
    assert seen == [[0.4, 2.8], [0.5, 2.8], [0.5, 3.0]]
    assert "converged" not in explorer._text.value


def test_the_code_makes_the_same_fit(explorer, capsys):
    explorer.move(a=0.3)
    explorer._buttons["code"].click()
    assert explorer._code.layout.display == "flex"
    names = {"problem": CHAIN}
    exec(explorer._code.value, names)
    answer = explorer.fit()
    np.testing.assert_array_equal(names["fit"].parameters, answer.parameters)
    assert "converged" in capsys.readouterr().out


def test_what_cannot_be_is_refused(explorer):
    with pytest.raises(ValueError, match="no unknown 'c'; there are a, b"):
        explorer.move(c=1.0)
    with pytest.raises(ValueError, match="bound"):
        explorer.move(a=2.0)
    np.testing.assert_array_equal(explorer.parameters, [0.5, 3.0])
    with pytest.raises(ValueError, match="one fit"):
        ef.explore(CHAIN, TARGETS, np.zeros([3, 2]))
    with pytest.raises(ValueError, match="bound"):
        ef.explore(CHAIN, TARGETS, [2.0, 0.0])


@pytest.mark.parametrize(
    "problem",
    [
        ef.Problem(
            ef.Affine(np.eye(3)[:, :, None] * np.eye(3), np.ones([3, 3])),
            observations=[ef.Levels(), ef.ModeShapes([0])],
        ),
        ef.Problem([ef.Block(ef.Hermitian(2)), ef.Block(ef.Hermitian(2))]),
    ],
    ids=["shapes", "blocks"],
)
def test_every_kind_of_problem_is_drawn(problem):
    targets = np.arange(float(problem.num_targets))
    explorer = ef.explore(problem, targets, np.arange(float(problem.num_parameters)))
    assert pixels(explorer).shape[2] == 4
    explorer.fit()
