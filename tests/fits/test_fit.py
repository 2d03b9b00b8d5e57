"""What a finished fit says of itself, in Python."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit import gallery

BASIS = [np.diag([0.0, 1.0, 2.0]), np.ones([3, 3])]
TARGETS = [0.2, 1.2, 3.2]


@pytest.fixture(scope="module")
def solver():
    known = ef.Parameters(["a", "b"], bounds={"b": (0.0, None)})
    problem = ef.Problem(ef.Affine(BASIS), ef.Levels(sigma=0.1), parameters=known)
    return ef.Solver(problem)


@pytest.fixture(scope="module")
def fit(solver):
    return solver.fit([1.0, 0.5], TARGETS)


@pytest.fixture(scope="module")
def batch(solver):
    starts = [[1.0, 0.5], [0.5, 1.0], [np.nan, 1.0], [1.5, 0.2]]
    return solver.fit(starts, TARGETS)


def test_it_is_the_tuple_that_it_was(solver, fit):
    assert isinstance(fit, ef.Solution)
    assert fit._fields == ef.Solution._fields
    parameters, *_ = fit
    np.testing.assert_array_equal(parameters, fit.parameters)
    again = tf.nest.map_structure(lambda x: x, fit)
    np.testing.assert_array_equal(again.loss, fit.loss)
    with pytest.raises(ValueError, match="rebuilt from its tensors"):
        again.report()

    @tf.function
    def traced(start, targets):
        return solver.fit(start, targets)

    start = tf.constant([1.0, 0.5], tf.float64)
    inside = traced(start, tf.constant(TARGETS, tf.float64))
    np.testing.assert_array_equal(inside.parameters, fit.parameters)


def test_numbers_are_those_of_numpy(fit):
    r = np.asarray(fit.parameters)
    w = np.linalg.eigvalsh(np.tensordot(r, BASIS, 1))
    deviations = (w - TARGETS) / 0.1
    assert fit.success
    np.testing.assert_allclose(list(fit.named.values()), r)
    np.testing.assert_allclose(list(fit.residuals.values()), w - TARGETS, atol=1e-14)
    assert list(fit.residuals) == ["level 0", "level 1", "level 2"]
    np.testing.assert_allclose(fit.chi_square, np.sum(deviations**2))
    assert fit.degrees_of_freedom == 1
    np.testing.assert_allclose(fit.aic, fit.chi_square + 4)
    np.testing.assert_allclose(fit.bic, fit.chi_square + 2 * np.log(3))


def test_the_report_names_what_was_asked_and_found(fit):
    text = fit.report()
    assert text.startswith("Result   least-squares minimum after")
    for part in ("AIC", "for 1 degree of freedom, p =", "in 0 to inf", "a, b", "sigma"):
        assert part in text
    assert str(fit) == text
    assert repr(fit).startswith("<Fit: least-squares minimum after")
    shown = fit._repr_html_()
    assert "<table>" in shown
    assert "least-squares minimum" in shown


def test_a_batch_is_a_table_not_tensors(batch):
    text = str(batch)
    assert text.splitlines()[0].startswith("4 members: 3 least-squares minimum, 1 inv")
    assert len(text.splitlines()) == 6
    assert "tf.Tensor" not in text + repr(batch)
    assert "(member" in batch.report()
    assert "<table>" in batch._repr_html_()
    np.testing.assert_allclose(batch.aic[[0, 1, 3]], batch.aic[0])
    assert np.isnan(batch.aic[2])
    assert "The fit was not started" in batch.report(member=2)
    with pytest.raises(IndexError, match=r"index of the batch \[4\], got 4"):
        batch.report(member=4)
    empty = ef.Solver(batch.asked.problem).fit(np.zeros([0, 2]), TARGETS)
    assert str(empty).startswith("0 members")


def test_members_are_fits_of_their_own(solver, batch, fit):
    own = batch.member(0)
    assert own.report().splitlines()[1:5] == fit.report().splitlines()[1:5]
    np.testing.assert_array_equal(own.targets, TARGETS)
    assert batch.member(2).result == ef.Result.invalid_input


def test_a_fit_is_a_start(solver, fit):
    further = solver.fit(fit, TARGETS)
    np.testing.assert_allclose(further.parameters, fit.parameters, rtol=1e-8)
    assert further.num_steps < fit.num_steps


def test_frames_and_dicts(fit, batch):
    frame = fit.to_frame()
    assert frame["name"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(
        frame["standard_error"], fit.uncertainty().standard_errors
    )
    assert fit.to_frame("data")["in_sigmas"].abs().max() < 5
    members = batch.to_frame("members")
    assert members["result"].tolist()[2] == "invalid_input"
    assert members.index.name == "member"
    with pytest.raises(ValueError, match='"parameters", "data" or "members"'):
        fit.to_frame("levels")
    document = fit.to_dict()
    assert document["result"] == "minimum"
    assert document["parameters"][1]["note"] == "in 0 to inf"
    # NaN has no place in JSON.
    assert batch.to_dict(member=2)["loss"] is None


def test_outliers_and_open_ends_are_said():
    problem = ef.Problem(ef.Affine([np.eye(3)]), ef.Levels(sigma=0.01))
    text = ef.Solver(problem).fit([1.0], [0.0, 0.0, 0.9]).report()
    assert text.count("outlier") == 3
    assert "The model does not explain the data" in text
    twice = ef.Problem(ef.Affine([np.diag([1.0, 2.0]), np.diag([2.0, 4.0])]))
    text = ef.Solver(twice).fit([1.0, 1.0], [1.0, 2.1]).report()
    assert "The data do not determine: r0 - 0.5 r1." in text


def test_solvers_and_fits_are_copied(solver, fit):
    for copied in (pickle.loads(pickle.dumps(solver)), copy.deepcopy(solver)):
        again = copied.fit([1.0, 0.5], TARGETS)
        np.testing.assert_array_equal(again.parameters, fit.parameters)
    assert pickle.loads(pickle.dumps(fit)).report() == fit.report()
    assert copy.deepcopy(fit).report() == fit.report()


@pytest.mark.parametrize("name", ["lab-frame-4", "gaas-bands", "clement"])
def test_practitioners_problems_print(name):
    entry = gallery.load(name)
    fit = ef.Solver(entry.problem, entry.method).fit(
        entry.initial, entry.targets, max_steps=entry.max_steps
    )
    text = fit.report()
    assert max(map(len, text.splitlines())) <= 110
    one_matrix = entry.problem.observation is not None
    assert ("\nLevels\n" if one_matrix else entry.problem.target_names[0]) in text


@pytest.mark.parametrize("kind", ["array", "list", "variable", "batch"])
def test_a_fit_is_of_the_numbers_that_it_was_given(solver, kind):
    # Callers reuse their arrays.
    given = {
        "array": np.array(TARGETS),
        "list": list(TARGETS),
        "variable": tf.Variable(np.array(TARGETS)),
        "batch": np.array([TARGETS, TARGETS]),
    }[kind]
    start = np.array([1.0, 0.5])
    fit = solver.fit(start, given)
    wanted = solver.fit([1.0, 0.5], TARGETS)
    start += 3
    if kind == "variable":
        given.assign_add([5.0, 5.0, 5.0])
    elif kind == "list":
        given[2] = 9.0
    else:
        given += 5
    member = fit.member(0) if kind == "batch" else fit
    np.testing.assert_allclose(member.chi_square, wanted.chi_square, rtol=1e-12)
    assert member.residuals.keys() == wanted.residuals.keys()
    for name, value in wanted.residuals.items():
        np.testing.assert_allclose(member.residuals[name], value, rtol=1e-9)
    np.testing.assert_array_equal(member.start, wanted.start)
