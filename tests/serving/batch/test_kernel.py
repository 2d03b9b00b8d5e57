"""Rows in, rows out: in this process, without engines."""

import numpy as np
import pyarrow as pa
import pytest
from tests.serving.batch import tables

import eigenfit as ef
from eigenfit_serving.batch.engines.kernel import Kernel
from eigenfit_serving.batch.settings import Settings, read_facts
from eigenfit_serving.batch.solving.fitting import Fitter


def solve(fitter, table, first=0, **settings):
    kernel = Kernel(fitter, Settings(**{"max_steps": 100, **settings}), worker="w")
    return kernel.solve(tables.rows(table), first)


def column(answers, name):
    return answers.table.column(name).to_pylist()


def test_answers_are_those_of_the_solver(additive_fitter, rng):
    targets = tables.good_targets(40, rng)
    initial = rng.normal(size=[40, 2])
    table = pa.table(
        {
            "id": list(range(40)),
            "targets": tables.lists(targets),
            "initial": tables.lists(initial),
        }
    )
    answers = solve(additive_fitter, table)
    structure = ef.Additive([[0.0, 1.0], [1.0, 0.0]])
    solver = ef.Solver(ef.Problem(structure), method=ef.LevenbergMarquardt())
    expected = solver.fit(initial, targets, max_steps=100)
    np.testing.assert_allclose(
        column(answers, "parameters"), expected.parameters, rtol=1e-12
    )
    np.testing.assert_allclose(
        column(answers, "eigenvalues"), expected.eigenvalues, rtol=1e-12
    )
    assert column(answers, "steps") == expected.num_steps.numpy().tolist()
    assert column(answers, "result") == expected.result.numpy().tolist()
    assert answers.counts.tolist() == [40, 0, 0, 0, 0, 0, 0, 0]
    assert set(column(answers, "text")) == {ef.Result.converged.text}
    assert set(column(answers, "worker")) == {"w"}


@pytest.mark.parametrize(("targets", "message"), tables.MALFORMED)
def test_malformed_targets(additive_fitter, targets, message):
    column_ = pa.array([[-2.0, 2.0], targets, [-3.0, 3.0]], pa.list_(pa.float64()))
    answers = solve(additive_fitter, pa.table({"id": [7, 8, 9], "targets": column_}))
    assert column(answers, "id") == [7, 8, 9]
    assert column(answers, "result") == [0, 5, 0]
    assert message in column(answers, "message")[1]
    assert column(answers, "message")[::2] == [None, None]
    for name in ("parameters", "eigenvalues", "loss"):
        assert [x is None for x in column(answers, name)] == [False, True, False]
    assert answers.counts.tolist() == [2, 0, 0, 0, 0, 1, 0, 0]


def test_other_malformed_columns(additive_fitter):
    good = {"initial": [0.0, 1.0], "tolerance": 1e-8, "max_steps": 50.0}
    bad = {
        "`initial` has 1 number, must have 2": {"initial": [1.0]},
        "`initial` has a null, NaN": {"initial": [1.0, float("inf")]},
        "`tolerance` is no positive number": {"tolerance": 0.0},
        "`max_steps` is no integer": {"max_steps": 1.5},
        "`max_steps` is no integer of": {"max_steps": -1.0},
        "`id` is null": {"id": None},
    }
    rows = [{"id": 1, "targets": [-2.0, 2.0], **good, **x} for x in bad.values()]
    absent = {"id": 99, "targets": [-2.0, 2.0]}
    answers = solve(additive_fitter, pa.Table.from_pylist([*rows, absent]))
    messages = column(answers, "message")
    for found, expected in zip(messages, bad, strict=False):
        assert expected in found
    assert messages[-1] is None
    assert column(answers, "result") == [5] * len(bad) + [0]
    assert column(answers, "id")[-2:] == [None, 99]


def test_refusals_of_the_model_are_explained(bounded_model):
    fitter = Fitter(read_facts(bounded_model), 64)
    zero = "`tolerance` is zero in float32"
    large = "`initial` has a number too large for float32"
    outside = "`initial` is none that this model can start from"
    rows = [
        ({"tolerance": 1e-50, "initial": [1.0, 1.0]}, zero),
        ({"tolerance": 1e-50}, zero),
        ({"initial": [1e300, 1.0]}, large),
        ({"targets": [1.0, 1e300]}, "`targets` has a number too large for float32"),
        ({"initial": [5.0, 1.0]}, outside),
        ({"initial": [1.0, -1.0]}, None),
        ({"targets": [3.0, 1.0], "initial": [1.0, -1.0]}, "`targets` do not ascend"),
    ]
    given = [{"id": 1, "targets": [-2.0, 2.0], **row} for row, _ in rows]
    names = ("id", "targets", "initial", "tolerance")
    columns = {name: [row.get(name) for row in given] for name in names}
    for starts in (None, 1):
        answers = solve(fitter, pa.table(columns), starts=starts)
        messages = column(answers, "message")
        for found, (row, expected) in zip(messages, rows, strict=True):
            assert (found or "").startswith(expected or ""), row
            assert (found is None) is (expected is None)


def test_steps_and_tolerance_of_a_row_are_its_own(additive_fitter):
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "targets": tables.lists(np.array([[-2.0, 2.0]] * 3)),
            "initial": tables.lists(np.array([[1.0, -1.0]] * 3)),
            "tolerance": pa.array([None, 1e-8, 1e3]),
            "max_steps": pa.array([0, None, None], pa.int64()),
        }
    )
    answers = solve(additive_fitter, table)
    assert column(answers, "result") == [2, 0, 0]
    steps = column(answers, "steps")
    assert steps[0] == steps[2] == 0 < steps[1]


@pytest.mark.sample(2)
@pytest.mark.parametrize("size", [1, 7, 64, 500])
def test_rows_do_not_depend_on_batches(additive_model, additive_fitter, mixed, size):
    fitter = Fitter(additive_fitter.facts, size)
    whole = solve(additive_fitter, mixed)
    part = mixed.slice(100, 60)
    answers = solve(fitter, part, first=100)
    expected = whole.table.slice(100, 60)
    for name in ("id", "row", "steps", "result", "message"):
        assert column(answers, name) == expected.column(name).to_pylist()
    for name in ("parameters", "eigenvalues"):
        found, wanted = column(answers, name), expected.column(name).to_pylist()
        assert [x is None for x in found] == [x is None for x in wanted]
        keep = [k for k, x in enumerate(found) if x is not None]
        np.testing.assert_allclose(
            [found[k] for k in keep], [wanted[k] for k in keep], rtol=1e-12, atol=1e-12
        )


@pytest.mark.sample(2)
@pytest.mark.parametrize("size", [1, 7, 33, 100])
@pytest.mark.parametrize("kind", ["seed", "additive"])
def test_calls_have_whole_vectors(request, rng, kind, size):
    # The last numbers of a call that is no multiple of the width of the processor's
    # vectors would be rounded differently.
    reference = request.getfixturevalue(f"{kind}_fitter")
    m = reference.facts.targets
    middle = rng.normal(size=[200, 1])
    targets = np.sort(middle + rng.uniform(1, 2) * np.arange(m) * 2.0, axis=1)
    table = pa.table({"id": list(range(200)), "targets": tables.lists(targets)})
    whole = solve(reference, table)
    found = solve(Fitter(reference.facts, size), table)
    for name in ("parameters", "eigenvalues", "loss", "steps"):
        assert column(found, name) == column(whole, name)


def test_the_seed_chooses_the_starts(seed_fitter, rng):
    targets = tables.lists(np.sort(rng.normal(size=[20, 3]), axis=1))
    table = pa.table({"id": list(range(20)), "targets": targets})
    first, second, third = (
        np.array(column(solve(seed_fitter, table, seed=k), "parameters"))
        for k in (1, 1, 2)
    )
    assert (first == second).all()
    assert (np.abs(first - third).max(axis=1) > 1e-3).all()


def test_some_rows_have_a_start(seed_fitter):
    targets = np.array([[1.0, 2.0, 3.0]] * 3)
    initial = pa.array([None, [1.0, 2.0, 3.0, 0.0, 0.0, 0.0], None])
    table = pa.table(
        {"id": [1, 2, 3], "targets": tables.lists(targets), "initial": initial}
    )
    parameters = np.array(column(solve(seed_fitter, table), "parameters"))
    np.testing.assert_allclose(parameters[1], initial[1].as_py(), atol=1e-12)
    drawn = np.array(column(solve(seed_fitter, table.drop(["initial"])), "parameters"))
    np.testing.assert_allclose(parameters[[0, 2]], drawn[[0, 2]], atol=1e-12)


def test_all_distinct_solutions_of_a_row(additive_fitter):
    # r1 r2 = t1 t2 + 1 and r1 + r2 = t1 + t2 have two solutions, one the other's
    # mirror image.
    targets = pa.array([[1.0, 4.0], [0.0], [-0.5, 0.5]], pa.list_(pa.float64()))
    table = pa.table({"id": ["two", "bad", "none"], "targets": targets})
    answers = solve(additive_fitter, table, starts=12, keep="all")
    assert column(answers, "id") == ["two", "two", "bad", "none"]
    assert column(answers, "solution") == [0, 1, 0, 0]
    two = sorted(x[0] for x in column(answers, "parameters")[:2])
    np.testing.assert_allclose(two, [1.381966, 3.618034], atol=1e-6)
    assert sum(column(answers, "count")[:2]) == 12
    assert column(answers, "count")[0] >= column(answers, "count")[1] > 0
    assert column(answers, "count")[2] == 0
    assert column(answers, "result") == [0, 0, 5, 1]
    assert answers.counts.tolist() == [1, 1, 0, 0, 0, 1, 0, 0]


def test_the_best_of_several_starts(additive_fitter):
    table = pa.table({"id": [1], "targets": pa.array([[1.0, 4.0]])})
    answers = solve(additive_fitter, table, starts=5)
    assert column(answers, "count") == [5]
    alone = solve(additive_fitter, table)
    np.testing.assert_allclose(
        column(answers, "parameters"), column(alone, "parameters"), rtol=1e-12
    )
    # A start that is given is the first.
    given = table.append_column("initial", pa.array([[3.7, 1.3]]))
    (found,) = column(solve(additive_fitter, given, starts=5), "parameters")
    np.testing.assert_allclose(found, [3.618034, 1.381966], atol=1e-4)


def test_rows_that_killed_their_workers(additive_fitter, mixed):
    kernel = Kernel(additive_fitter, Settings(max_steps=100))
    (batch,) = mixed.slice(0, 3).combine_chunks().to_batches()
    answers = kernel.solve(batch, 0, give_up=True)
    assert column(answers, "result") == [-1, -1, -1]
    assert "the process died each time" in column(answers, "message")[0]
    assert column(answers, "parameters") == [None] * 3


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.int64(), 2)],
)
def test_types_of_lists(additive_fitter, kind):
    table = pa.table(
        {
            "id": pa.array(["a", "b"]).dictionary_encode(),
            "targets": pa.array([[-2, 2], [-3, 3]], kind),
        }
    )
    answers = solve(additive_fitter, table.slice(1))
    assert column(answers, "result") == [0]
    assert column(answers, "id") == ["b"]
    np.testing.assert_allclose(column(answers, "eigenvalues"), [[-3, 3]], atol=1e-4)
