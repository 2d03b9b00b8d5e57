"""All distinct solutions of a row, each once."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tensorflow as tf
from scipy.optimize import least_squares
from tests.serving.batch import tables

import eigenfit as ef
from eigenfit_export import Start, save_model
from eigenfit_serving.batch.engines.kernel import Kernel
from eigenfit_serving.batch.settings import Settings, read_facts
from eigenfit_serving.batch.solving.choosing import NEAR, RTOL, distinct, pairs_within
from eigenfit_serving.batch.solving.fitting import Fitter

BASIS = np.array(
    [
        [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0], [0.0, 1.0, -1.0], [0.0, -1.0, 1.0]],
    ]
)
OFFSET = np.diag([0.0, 0.0, 1.0])
SPLIT = np.diag([-0.5, 0.5])
ROWS = 400


@pytest.fixture(scope="module")
def springs(tmp_path_factory):
    """Three springs, of which several sets have the same frequencies."""
    problem = ef.Problem(ef.Affine(BASIS, OFFSET))
    folder = tmp_path_factory.mktemp("springs") / "model"
    folder = save_model(ef.Solver(problem), folder, warmup_batches=())
    return Fitter(read_facts(folder), 2048)


def levels(parameters):
    return np.linalg.eigh(np.tensordot(parameters, BASIS, 1) + OFFSET)


def end_of(parameters, targets):
    """Follows a fit to its solution by another method."""
    found = least_squares(
        lambda x: levels(x)[0] - targets,
        parameters,
        lambda x: np.einsum("ai,pab,bi->ip", levels(x)[1], BASIS, levels(x)[1]),
        method="lm",
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    )
    return found.x


@pytest.mark.slow  # an export for it alone
def test_every_solution_is_listed_once(springs):
    # Some of the rows have two solutions that lie close together.
    true = np.random.default_rng(5).uniform(0.3, 3.0, size=[ROWS, 3])
    targets = np.array([levels(row)[0] for row in true])
    table = pa.table({"id": range(ROWS), "targets": tables.lists(targets)})
    (batch,) = table.to_batches()
    settings = Settings(starts=6, keep="all", max_steps=2000)
    answers = Kernel(springs, settings).solve(batch, 0).table
    rows = answers.filter(pc.field("result") == 0).to_pylist()
    ends = {}
    for row in rows:
        end = end_of(row["parameters"], targets[row["row"]])
        assert np.linalg.norm(end - row["parameters"]) < 1e-3
        ends.setdefault(row["row"], []).append(end)
    assert len(ends) > 0.95 * ROWS
    assert sum(len(own) > 1 for own in ends.values()) > ROWS / 2
    for own in ends.values():
        for k, end in enumerate(own):
            for other in own[:k]:
                assert np.linalg.norm(end - other) > 1e-5 * np.linalg.norm(end)


def test_no_solution_is_taken_for_another(additive_fitter):
    # r1 + r2 = t1 + t2 and r1 - r2 = +-gap: two solutions, however close.
    gaps = np.geomspace(0.003, 3.0, 30)
    half = np.sqrt(1.0 + gaps**2 / 4)
    targets = 5.0 + np.stack([-half, half], axis=1)
    table = pa.table({"id": range(30), "targets": tables.lists(targets)})
    (batch,) = table.to_batches()
    settings = Settings(starts=16, keep="all", max_steps=500)
    answers = Kernel(additive_fitter, settings).solve(batch, 0).table.to_pylist()
    for k, gap in enumerate(gaps):
        own = [row["parameters"] for row in answers if row["row"] == k]
        found = sorted(one - two for one, two in own)
        np.testing.assert_allclose(found, [-gap, gap], rtol=1e-2)


def test_leaders_are_those_that_have_ended():
    parameters = np.array([[[1.02], [1.0], [3.0]]])
    same = np.array([0]), np.array([1])
    loss, result = np.array([[1e-9, 1e-30, 1e-9]]), np.zeros([1, 3], int)
    found = distinct(parameters, loss, result, same, loss < 1e-20)
    assert found.start.tolist() == [1, 2]
    assert found.starts.tolist() == [2, 1]
    row, one, two = pairs_within(parameters, result, NEAR, RTOL)
    assert (row.tolist(), one.tolist(), two.tolist()) == ([0], [0], [1])


def test_a_period_apart_is_the_same():
    angles = np.array([[[3.141], [-3.141], [0.5]]])
    result = np.zeros([1, 3], int)

    def difference(one, other):
        return (one - other + np.pi) % (2 * np.pi) - np.pi

    found = distinct(angles, np.zeros([1, 3]), result, difference=difference)
    assert found.start.tolist() == [0, 1, 2]
    near = pairs_within(angles, result, NEAR, RTOL, difference)
    assert [x.tolist() for x in near] == [[0], [0], [1]]


@pytest.mark.slow  # an export for it alone
def test_signs_without_effect_and_whole_periods_make_no_solution(tmp_path):
    # A coupling of either sign, which is the length of a vector of any turn.
    def matrix(r):
        b = r[..., 0] * tf.cos(r[..., 1])
        c = r[..., 0] * tf.sin(r[..., 1])
        rows = [[r[..., 0], b], [b, 3.0 + c]]
        return tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)

    parameters = ef.Parameters(
        names=["length", "turn"], period={"turn": 2 * np.pi}, bounds={"length": (0, 9)}
    )
    angles = ef.Problem(ef.Parametric(matrix, 2, 2), parameters=parameters)
    coupled = ef.Problem(ef.Affine([np.eye(2), [[0.0, 1.0], [1.0, 0.0]]], SPLIT))
    turned = np.linalg.eigvalsh(matrix(tf.constant([2.0, 0.7])).numpy()).tolist()
    turns = Start.uniform([1.5, -9.0], [2.5, 9.0])
    for problem, targets, number, start in (
        (coupled, [[-1.0, 4.0], [0.0, 3.0]], 1, None),
        (angles, [turned], 2, turns),
    ):
        folder = save_model(
            ef.Solver(problem), tmp_path, warmup_batches=(), start=start
        )
        fitter = Fitter(read_facts(folder), 64)
        table = pa.table({"id": range(len(targets)), "targets": pa.array(targets)})
        settings = Settings(starts=24, keep="all", max_steps=500)
        found = Kernel(fitter, settings).solve(table.to_batches()[0], 0).table
        good = [row for row in found.to_pylist() if row["result"] == 0]
        for k, own in enumerate(targets):
            wanted = ef.multistart(ef.Solver(problem), own, 24, seed=0)
            wanted = wanted.parameters[wanted.result == 0]
            ends = np.array([x["parameters"] for x in good if x["row"] == k])
            assert len(ends) == len(wanted) == number
            np.testing.assert_allclose(
                ends[np.lexsort(ends.T)], wanted[np.lexsort(wanted.T)], rtol=1e-4
            )
