"""Against the embedded server, with all that guards it switched on."""

import asyncio
import shutil

import numpy as np
import pytest

import eigenfit_serving
from eigenfit_serving.client import (
    AccessDenied,
    AsyncClient,
    Client,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    Tls,
)

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl makes the certificates"
)

KEY = "hunter2"
TARGETS = np.array([1.0, 2.0, 4.0])


@pytest.fixture(scope="module")
def server(models, certificates, tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"{KEY}\n")
    with eigenfit_serving.serve(
        models,
        kind="embedded",
        port=0,
        rest_port=0,
        tls_cert=certificates / "server.pem",
        tls_key=certificates / "server-key.pem",
        api_key_file=file,
        flags=["--max_rows=100"],
        timeout=120,
    ) as server:
        yield server
    assert server.exit_code == 0, server.last_lines()


@pytest.fixture(params=["grpc", "rest"])
def url(request, server):
    return getattr(server, f"{request.param}_url")


@pytest.fixture
def tls(certificates):
    return Tls(ca=certificates / "server.pem")


def test_answers_are_those_of_the_solver(url, tls, solvers, rng):
    starts = rng.uniform(size=[4, 6])
    targets = np.vstack([TARGETS, TARGETS + 1, [np.nan, 1, 2], [3, 2, 1]])
    limits = {"tolerance": 1e-20, "max_steps": [50, 50, 50, 1]}
    with Client(url, "symmetric", api_key=KEY, tls=tls) as client:
        solution = client.fit(starts, targets, **limits)
        path = list(client.iterate(starts[0], TARGETS, tolerance=1e-20))
        single = client.fit(starts[0], TARGETS, tolerance=1e-20)
        assert client.status() == [(1, "AVAILABLE", "OK", "")]
        assert client.metadata().signatures["fit"].inputs["targets"].shape == (None, 3)
    assert solution.result.tolist() == [0, 0, 5, 5]
    expected = solvers["symmetric"].fit(starts[:2], targets[:2], tolerance=1e-20)
    for name in ("parameters", "matrix", "eigenvalues", "num_steps"):
        np.testing.assert_allclose(
            getattr(solution, name)[:2], getattr(expected, name), atol=1e-12
        )
    assert path[-1].num_steps == single.num_steps
    np.testing.assert_allclose(path[-1].parameters, single.parameters, atol=1e-12)


def test_complex_matrices(url, tls):
    with Client(url, "joint", api_key=KEY, tls=tls) as client:
        solution = client.fit([0.6, 0.8], [-1.0, 1.0, -0.2, 1.4], tolerance=1e-20)
    np.testing.assert_allclose(
        solution.matrix["k_0"], [[0.6, 0.8j], [-0.8j, -0.6]], atol=1e-9
    )


def test_async(url, tls):
    async def work():
        async with AsyncClient(url, "symmetric", api_key=KEY, tls=tls) as client:
            fits = [client.fit(np.arange(6.0), TARGETS + k) for k in range(16)]
            return await asyncio.gather(*fits)

    for k, solution in enumerate(asyncio.run(work())):
        np.testing.assert_allclose(solution.eigenvalues, TARGETS + k, atol=1e-3)


def test_errors(url, tls):
    def client(model="symmetric", **changes):
        settings = {"api_key": KEY, "tls": tls, "retries": 0, **changes}
        return Client(url, model, **settings)

    with client("missing") as missing, pytest.raises(NotFound, match="missing"):
        missing.metadata()
    with client(version=9) as other, pytest.raises(NotFound):
        other.metadata()
    with client() as large, pytest.raises(InvalidRequest, match="100"):
        large.fit(np.zeros([101, 6]), TARGETS)
    for key in (None, "wrong"):
        with client(api_key=key) as stranger, pytest.raises(AccessDenied):
            stranger.metadata()
    with client(tls=None) as trusting, pytest.raises(ConnectionFailed):
        trusting.metadata()


def test_models(server, tls):
    with Client(server.rest_url, api_key=KEY, tls=tls) as client:
        assert client.models() == ["joint", "symmetric"]
