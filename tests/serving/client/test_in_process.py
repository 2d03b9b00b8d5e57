import asyncio

import numpy as np
import pytest

from eigenfit_serving.client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    FitError,
    InProcess,
    InvalidRequest,
    NotFound,
    Result,
)
from eigenfit_serving.server.options import Options

TARGETS = np.array([1.0, 2.0, 4.0])


@pytest.fixture(scope="module")
def transport(models):
    transport = InProcess(models)
    yield transport
    transport.close()


def assert_same(got, want):
    for name, array in got._asdict().items():
        expected = np.asarray(getattr(want, name))
        np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-12)
        assert array.dtype == expected.dtype, name


def test_answers_are_those_of_the_solver(transport, solvers, rng):
    solver, client = solvers["symmetric"], Client(transport, "symmetric")
    starts = rng.uniform(size=[2, 1, 6])
    targets = TARGETS + np.array([[0.0], [0.5], [np.nan]])
    solution = client.fit(starts, targets, tolerance=1e-10)
    assert_same(solution, solver.fit(starts, targets, tolerance=1e-10))
    assert solution.result.tolist() == [[0, 0, 5]] * 2
    with pytest.raises(FitError, match="2 of 6 members"):
        solution.raise_for_result()
    limited = client.fit(starts, TARGETS, max_steps=1)
    assert (limited.result == Result.max_steps).all()
    assert_same(client.gradient(starts, TARGETS), solver.gradient(starts, TARGETS))
    np.testing.assert_allclose(
        client.eigenvalues(starts[0, 0]), solver.eigenvalues(starts[0, 0]), rtol=1e-12
    )


def test_iterate_takes_the_steps_of_the_method(transport, solvers, rng):
    client = Client(transport, "symmetric")
    start = rng.uniform(size=6)
    progress = list(client.iterate(start, TARGETS, tolerance=1e-10))
    solution = client.fit(start, TARGETS, tolerance=1e-10)
    assert progress[-1].num_steps == solution.num_steps
    assert_close = np.testing.assert_allclose
    assert_close(progress[-1].parameters, solution.parameters, rtol=1e-12, atol=1e-12)
    assert progress[-1].loss <= 1e-10 < progress[-2].loss


def test_starts_drawn_in_the_model(transport):
    client = Client(transport, "symmetric")
    found = client.fit_from_random([[1], [2]], [TARGETS, TARGETS + 1])
    assert found.initial.shape == (2, 2, 6)
    assert found.solution.raise_for_result().matrix.shape == (2, 2, 3, 3)
    alone = client.fit_from_random(2, TARGETS + 1)
    np.testing.assert_array_equal(found.initial[1, 1], alone.initial)


def test_complex_matrices_have_the_labels_of_their_blocks(transport, solvers):
    start, targets = [0.6, 0.8], [-1.0, 1.0, -0.2, 1.4]
    client = Client(transport, "joint")
    solution = client.fit(start, targets, tolerance=1e-20)
    expected = solvers["joint"].fit(start, targets, tolerance=1e-20)
    assert list(solution.matrix) == ["k_0", "k_1"]
    for got, want in zip(solution.matrix.values(), expected.matrix, strict=True):
        assert got.dtype == np.complex128
        np.testing.assert_allclose(got, want, atol=1e-12)
    A = solution.matrix["k_0"]
    found = client.eigengradient(A, [0, -1])
    assert found["gradient"].dtype == np.complex128
    np.testing.assert_allclose(found["eigenvalues"], [[-1, 1]] * 2, atol=1e-9)
    lower, upper = found["gradient"]
    np.testing.assert_allclose(upper - lower, A, atol=1e-9)


def test_models_status_and_metadata(transport):
    client = Client(transport, "symmetric")
    assert client.models() == ["joint", "symmetric"]
    assert client.status() == [(1, "AVAILABLE", "OK", "")]
    metadata = client.metadata()
    assert metadata.version == 1
    fit = metadata.signatures["fit"]
    assert fit.inputs["initial"] == (np.dtype("f8"), (None, 6))
    assert fit.outputs["matrix"].shape == (None, 3, 3)


def test_errors_are_those_of_the_server(transport, models):
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(no\)"):
        Client(transport, "no").metadata()
    with pytest.raises(NotFound, match=r"Specific\(joint, 7\)"):
        Client(transport, "joint", version=7).metadata()
    with pytest.raises(InvalidRequest, match="label"):
        Client(transport, "joint", label="stable").metadata()
    with pytest.raises(DeadlineExceeded):
        Client(transport, "joint", timeout=-1.0).metadata()


def test_the_options_of_the_server_hold(models):
    client = Client(InProcess(models / "symmetric", Options(max_rows=2)))
    assert client.fit(np.zeros([2, 6]), TARGETS).result.shape == (2,)
    with pytest.raises(InvalidRequest, match="2"):
        client.fit(np.zeros([3, 6]), TARGETS)


def test_async_in_process(transport):
    async def work():
        client = AsyncClient(transport, "symmetric")
        fits = [client.fit(np.arange(6.0), TARGETS + k) for k in range(4)]
        return await asyncio.gather(*fits)

    solutions = asyncio.run(work())
    for k, solution in enumerate(solutions):
        np.testing.assert_allclose(solution.eigenvalues, TARGETS + k, atol=1e-3)
