import numpy as np

import eigenfit as ef

TABLE = """
schema = 1
targets = [1.0, 2.0, 3.0]
[structure]
kind = "additive"
offset = [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
"""
KNOWN = """
[parameters]
names = ["A", "B", "C"]
bounds = {A = [0, inf]}
ties = {C = {A = 0.5, B = 2, "" = 0.25}}
fixed = {B = 3}
prior = {A = [1.5, 0.2]}
"""


def test_all_options_reach_the_problem(read):
    content = read(TABLE + KNOWN)
    problem = content.problem()
    expected = ef.Problem(
        ef.Additive([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]),
        parameters=ef.Parameters(
            ["A", "B", "C"],
            bounds={"A": (0, None)},
            ties={"C": {"A": 0.5, "B": 2.0, "": 0.25}},
            fixed={"B": 3.0},
            prior={"A": (1.5, 0.2)},
        ),
    )
    assert problem.parameter_names == expected.parameter_names == ("A",)
    assert problem.all_names == ("A", "B", "C")
    np.testing.assert_array_equal(problem.bounds, expected.bounds)
    x = [1.2]
    np.testing.assert_array_equal(problem.expand(x), expected.expand(x))
    np.testing.assert_array_equal(problem.expand(x), [1.2, 3.0, 6.85])
    np.testing.assert_array_equal(
        problem.residual(x, content.targets), expected.residual(x, content.targets)
    )
    assert content.unknowns.names == ["A"]


def test_a_tie_may_be_a_pair_and_bounds_one_for_all(read):
    content = read(
        TABLE + '[parameters]\nbounds = [-1, 1]\nties = {r2 = ["r0", -1.0]}\n'
    )
    problem = content.problem()
    np.testing.assert_array_equal(problem.bounds, [[-1, -1], [1, 1]])
    np.testing.assert_array_equal(problem.expand([1.0, 2.0]), [1, 2, -1])


def test_nothing_said_is_nothing_asked(read):
    problem = read(TABLE).problem()
    assert problem.bounds is None
    assert problem.ties.matrix is None
    assert problem.parameter_names == ("r0", "r1", "r2")


def test_starts_by_name(read):
    content = read(TABLE + "[start.parameters]\nr2 = 3\nr0 = 1.0\nr1 = 2.0\n")
    np.testing.assert_array_equal(content.initial_parameters(), [[1, 2, 3]])


def test_random_starts_lie_in_the_bounds(read):
    bounds = "[parameters]\nbounds = {r0 = [5, 6], r1 = [2, inf], r2 = [-inf, -3]}\n"
    starts = read(TABLE + bounds, starts=200).initial_parameters()
    assert (starts >= [5, 2, -np.inf]).all()
    assert (starts <= [6, np.inf, -3]).all()
    assert starts.std(axis=0).min() > 0.1
    # What is given is cut to the bounds.
    box = "[start]\nlow = [0, 0, -9]\nhigh = 5.5\n"
    starts = read(TABLE + bounds + box, starts=200).initial_parameters()
    assert (starts >= [5, 2, -9]).all()
    assert (starts <= [5.5, 5.5, -3]).all()
    assert starts.std(axis=0).min() > 0.1


def test_bounds_leave_other_random_starts_as_they_are(read):
    box = "[start]\nlow = 0\nhigh = 1\n"
    free = read(TABLE + box, starts=3).initial_parameters()
    bounds = "[parameters]\nbounds = {r1 = [0, 1]}\n"
    bounded = read(TABLE + bounds + box, starts=3)
    np.testing.assert_array_equal(free, bounded.initial_parameters())


def test_priors_of_combinations_reach_the_problem(read):
    text = (
        TABLE
        + '[parameters]\nnames = ["A", "B", "C"]\nfixed = {B = 2}\n'
        + "smoothness = {sigma = 0.1}\n"
        + "[[parameters.prior]]\ncoefficients = {A = 1, B = -3}\n"
        + "mean = 0.5\nsigma = 0.2\n"
    )
    content = read(text)
    assert len(content.priors) == 2
    known = ef.Parameters(
        ["A", "B", "C"],
        fixed={"B": 2.0},
        prior=[
            ef.Prior({"A": 1, "B": -3}, 0.5, 0.2),
            *ef.smoothness(["A", "B", "C"], 0.1),
        ],
    )
    expected = ef.Problem(
        ef.Additive([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]), parameters=known
    )
    x, t = [1.2, -0.7], content.targets
    found = content.problem().residual(x, t).numpy()
    np.testing.assert_array_equal(found, expected.residual(x, t))
    own = [(1.2 - 6 - 0.5) / 0.2, (1.2 - 4 - 0.7) / 0.1]
    np.testing.assert_allclose(found[3:], own, rtol=1e-12)


def test_smoothness_of_some(read):
    line = 'smoothness = {sigma = 0.1, order = 1, names = ["r2", "r0"]}\n'
    problem = read(TABLE + "[parameters]\n" + line).problem()
    found = problem.residual([1.0, 5.0, 3.0], [0.0, 0.0, 0.0]).numpy()[3:]
    np.testing.assert_allclose(found, [(1.0 - 3.0) / 0.1])


def test_periods_reach_the_problem(read):
    content = read(TABLE + "[parameters]\nperiod = {r1 = 6.5}\n")
    np.testing.assert_array_equal(content.problem().periods, [np.inf, 6.5, np.inf])
