import asyncio
import math
import subprocess
import sys

import numpy as np
import pytest
from tests.serving.client.fakes import FakeTransport

import eigenfit_serving
from eigenfit_serving.client import (
    AsyncClient,
    Client,
    ConnectionFailed,
    FitError,
    InvalidRequest,
    NotFound,
    Result,
    Retries,
    Tls,
    Unavailable,
    retries,
)
from eigenfit_serving.client.calls import GetMetadata, Predict, Target
from eigenfit_serving.client.errors import DeadlineExceeded, Overloaded
from eigenfit_serving.client.operations import NO_LIMIT
from eigenfit_serving.protocol.status import Code

DRAINING = Unavailable(Code.UNAVAILABLE, "draining")
NO_PAUSE = Retries(3, first=0.0)


@pytest.fixture
def transport():
    return FakeTransport()


@pytest.fixture
def client(transport):
    return Client(transport, "diagonal", retries=NO_PAUSE)


def predicts(transport):
    return [call for call in transport.calls if isinstance(call, Predict)]


def test_one_fit(client, transport):
    solution = client.fit([0, 0], [1, 2]).raise_for_result()
    assert solution.parameters.tolist() == [1.0, 2.0]
    assert solution.matrix.tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert solution.loss.shape == solution.result.shape == ()
    assert solution.converged
    [call] = predicts(transport)
    assert call.signature == "fit"
    assert call.target == Target("diagonal")
    assert {name: x.shape for name, x in call.inputs.items()} == {
        "initial": (1, 2),
        "targets": (1, 2),
        "tolerance": (1,),
        "max_steps": (1,),
    }
    assert call.inputs["initial"].dtype == np.float64
    # 0 is the default of the model.
    assert call.inputs["tolerance"].tolist() == [0.0]
    assert call.inputs["max_steps"].tolist() == [NO_LIMIT]


def test_batch_dimensions_broadcast(client, transport):
    starts = np.arange(6.0).reshape(3, 1, 2)
    targets = np.arange(8.0).reshape(4, 2)
    solution = client.fit(starts, targets, tolerance=np.full([3, 1], 1e-4))
    assert solution.matrix.shape == (3, 4, 2, 2)
    assert solution.num_steps.shape == (3, 4)
    np.testing.assert_array_equal(solution.parameters[2], targets)
    [call] = predicts(transport)
    np.testing.assert_array_equal(
        call.inputs["initial"], np.repeat(starts[:, 0], 4, axis=0)
    )
    np.testing.assert_array_equal(call.inputs["targets"], np.tile(targets, [3, 1]))
    assert call.inputs["tolerance"].shape == (12,)


def test_nothing_is_sent_for_no_members(client, transport):
    solution = client.fit(np.zeros([0, 2]), [1.0, 2.0])
    assert solution.matrix.shape == (0, 2, 2)
    assert solution.result.dtype == np.int32
    assert not predicts(transport)


def test_a_bad_member_has_its_code(client):
    solution = client.fit([[0, 0], [0, 0]], [[1, 2], [np.nan, 2]])
    assert solution.result.tolist() == [0, 5]
    assert solution.converged.tolist() == [True, False]
    with pytest.raises(FitError, match=r"invalid_input \(1 of 2 members\): The fit"):
        solution.raise_for_result()


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (([0, 0, 0], [1, 2]), ValueError, r"`initial` must have the shape \[..., 2\]"),
        ((0.0, [1, 2]), ValueError, r"`initial` must .*, got \[\]"),
        ((np.zeros([3, 2]), np.zeros([4, 2])), ValueError, r"broadcast: .*\[4\].*\[3"),
        ((["a", "b"], [1, 2]), TypeError, "`initial` must be float64, got str"),
        (([1, 2j], [1, 2]), TypeError, "`initial` must be float64, got complex128"),
        (([[1, 2], [3]], [1, 2]), TypeError, "`initial` must be float64, got object"),
    ],
)
def test_misuse_is_seen_before_anything_is_sent(
    client, transport, arguments, kind, text
):
    with pytest.raises(kind, match=text):
        client.fit(*arguments)
    assert not predicts(transport)


def test_integers_must_fit(client):
    with pytest.raises(TypeError, match="`max_steps` must be int32, got float64"):
        client.fit([0, 0], [1, 2], max_steps=1.5)
    with pytest.raises(ValueError, match="`max_steps` does not fit int32"):
        client.fit([0, 0], [1, 2], max_steps=2**40)


def test_signatures_are_asked_for_once(client, transport):
    client.eigenvalues([2, 1])
    client.eigenvalues([[2, 1]])
    assert sum(isinstance(call, GetMetadata) for call in transport.calls) == 1


def test_signatures_are_asked_for_again_when_another_version_answers(client, transport):
    client.eigenvalues([2, 1])
    transport.send_before = transport.send
    transport._eigenvalues = lambda parameters: {"eigenvalues": parameters}
    original = transport.send

    def newer(call, timeout):
        transport.version = 4
        return original(call, timeout)

    transport.send = newer
    client.eigenvalues([2, 1])
    client.eigenvalues([2, 1])
    assert sum(isinstance(call, GetMetadata) for call in transport.calls) == 2


def test_signatures_are_asked_for_again_after_a_refusal(client, transport):
    client.eigenvalues([2, 1])
    transport.failures = [InvalidRequest(Code.INVALID_ARGUMENT, "no such input")]
    with pytest.raises(InvalidRequest):
        client.eigenvalues([2, 1])
    client.eigenvalues([2, 1])
    assert sum(isinstance(call, GetMetadata) for call in transport.calls) == 2


def test_unknown_names(client):
    with pytest.raises(TypeError, match=r"name of a signature comes first.*got dict"):
        client.predict({"level": 1})
    with pytest.raises(ValueError, match="'fits'"):
        client.predict("fits")
    with pytest.raises(ValueError, match=r"`level` is no input .*parameters"):
        client.predict("eigenvalues", level=1)


def test_what_is_not_a_batch_goes_as_it_is(client, transport):
    answer = client.predict("scalar", x=2)
    assert answer["y"].shape == ()
    assert answer["y"] == 3
    assert predicts(transport)[0].inputs["x"].dtype == np.float32


def test_the_only_model_need_not_be_named():
    client = Client(FakeTransport())
    assert client.metadata().model == "diagonal"
    assert client.models() == ["diagonal"]
    assert client.status()[0].state == "AVAILABLE"
    with pytest.raises(ValueError, match="`model` must be given: the server has a, b"):
        Client(FakeTransport(["a", "b"])).status()


def test_version_and_label(transport):
    Client(transport, "diagonal", version=2).status()
    Client(transport, "diagonal", label="stable").metadata()
    targets = [call.target for call in transport.calls]
    assert targets == [Target("diagonal", 2), Target("diagonal", None, "stable")]
    with pytest.raises(ValueError, match="cannot be given together"):
        Client(transport, "diagonal", version=2, label="stable")
    with pytest.raises(ValueError, match="`version` must not be negative"):
        Client(transport, "diagonal", version=-1)


@pytest.mark.parametrize("kind", [Unavailable, ConnectionFailed])
def test_what_was_not_begun_is_tried_again(client, transport, kind):
    transport.failures = [kind(Code.UNAVAILABLE, "later")] * 3
    assert client.fit([0, 0], [1, 2]).converged
    assert len(predicts(transport)) == 4
    transport.failures = [kind(Code.UNAVAILABLE, "later")] * 4
    with pytest.raises(kind, match=r"later \(UNAVAILABLE\)"):
        client.fit([0, 0], [1, 2])


@pytest.mark.parametrize(
    "error",
    [
        NotFound(Code.NOT_FOUND, "no"),
        Overloaded(Code.RESOURCE_EXHAUSTED, "no"),
        DeadlineExceeded(Code.DEADLINE_EXCEEDED, "no"),
    ],
)
def test_other_errors_are_not_tried_again(client, transport, error):
    transport.failures = [error]
    with pytest.raises(type(error)) as raised:
        client.fit([0, 0], [1, 2])
    assert raised.value.code == error.code
    assert len(predicts(transport)) == 1


def test_pauses_grow_at_random_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(retries._random, "uniform", lambda low, high: (low, high))
    attempts = retries.Attempts(Retries(5, first=0.1, longest=1.0), None)
    pauses = [attempts.pause(DRAINING) for _ in range(5)]
    assert pauses == [(0.0, pytest.approx(x)) for x in (0.1, 0.2, 0.4, 0.8, 1.0)]
    with pytest.raises(Unavailable):
        attempts.pause(DRAINING)


def test_the_timeout_covers_all_tries(transport, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(retries.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(retries._random, "uniform", lambda low, high: high)

    def pause(seconds):
        now[0] += seconds

    monkeypatch.setattr("eigenfit_serving.client.sync.time.sleep", pause)
    client = Client(transport, "diagonal", timeout=1.0, retries=Retries(9, first=0.4))
    client.metadata()
    transport.timeouts.clear()
    transport.failures = [DRAINING] * 9
    with pytest.raises(Unavailable):  # after 0.4 s a pause of 0.8 would be too long
        client.eigenvalues([1, 2])
    assert transport.timeouts == pytest.approx([1.0, 0.6])


@pytest.mark.parametrize("value", [-1, 1.5, True])
def test_retries_are_checked(transport, value):
    with pytest.raises((TypeError, ValueError), match="`retries` must"):
        Client(transport, retries=value)


def test_iterate_shows_how_it_goes(client, transport):
    steps = list(client.iterate([[0.0, 0.0], [1.0, 2.0]], [1.0, 2.0], tolerance=1e-3))
    assert [p.step for p in steps] == list(range(len(steps)))
    assert steps[0].running.tolist() == [True, False]
    losses = [p.loss[0] for p in steps]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] <= 1e-3 < losses[-2]
    last = steps[-1]
    assert last.num_steps.tolist() == [last.step, 0]
    assert not last.running.any()
    assert last.step == math.ceil(math.log(5 / 1e-3, 4))
    assert all(p.loss[1] == 0 for p in steps)  # it stays as it is


def test_a_member_that_has_ended_stays_as_it_is(client):
    steps = list(client.iterate(np.zeros([2, 2]), [1, 2], tolerance=[0.5, 1e-8]))
    ended = next(p for p in steps if not p.running[0])
    assert ended.loss[0] == ended.loss[1]
    assert steps[-1].loss[0] == ended.loss[0] > steps[-1].loss[1]
    np.testing.assert_array_equal(steps[-1].parameters[0], ended.parameters[0])
    assert steps[-1].num_steps[0] == ended.step


def test_iterate_stops(client):
    few = list(client.iterate([0, 0], [1, 2], max_steps=5, every=2))
    assert [p.step for p in few] == [0, 2, 4, 5]
    # Until a step changes nothing; the tolerance is out of reach.
    until_idle = list(client.iterate([0, 0], [1, 2], tolerance=-1.0, max_steps=5000))
    assert 30 < until_idle[-1].step < 100
    nan = list(client.iterate([np.nan, 0], [1, 2]))
    assert [p.step for p in nan] == [0]
    with pytest.raises(ValueError, match="`every`"):
        next(client.iterate([0, 0], [1, 2], every=0))


def test_a_client_is_a_context(transport):
    with Client(transport):
        assert not transport.closed
    assert transport.closed


def test_secrets_are_masked():
    client = Client(
        "http://me:hunter2@localhost:1",
        "chain",
        label="stable",
        api_key="hunter2",
        tls=Tls(ca=None),
    )
    assert repr(client) == (
        "Client('http://***@localhost:1', model='chain', label='stable', api_key='***')"
    )
    client.close()


@pytest.mark.parametrize(
    "url", ["localhost:8500", "ftp://x", "grpc://", "http://x:port", "http://x?y=1"]
)
def test_bad_addresses(url):
    with pytest.raises(ValueError, match="`server` must be like grpc://host:8500"):
        Client(url)


def test_async_is_the_same():
    async def work():
        transport = FakeTransport(failures=[DRAINING])
        async with AsyncClient(transport, "diagonal", retries=NO_PAUSE) as client:
            solutions = await asyncio.gather(
                *(client.fit([0, 0], [k, k + 1]) for k in range(3))
            )
            assert [s.parameters[0] for s in solutions] == [0, 1, 2]
            assert (await client.eigenvalues([2, 1])).tolist() == [1, 2]
            assert await client.models() == ["diagonal"]
            assert (await client.status())[0].version == 3
            progress = [p async for p in client.iterate([0, 0], [1, 2], every=5)]
            assert progress[-1].loss <= 1e-8
            with pytest.raises(ValueError, match="`initial`"):
                await client.fit([0], [1, 2])
            assert repr(client).startswith("AsyncClient(<")
        assert transport.closed

    asyncio.run(work())


def test_the_methods_are_the_same():
    def public(kind):
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Client) == public(AsyncClient)


def test_results_are_those_of_the_solver():
    import eigenfit as ef

    def table(results):
        return [(r.value, r.name, r.is_success, r.text) for r in results]

    assert table(Result) == table(ef.Result)
    fields = [name for name in ef.Solution._fields if name != "history"]
    assert list(eigenfit_serving.client.Solution._fields) == fields


def test_the_client_needs_no_tensorflow():
    program = (
        "import sys\n"
        "from eigenfit_serving import AsyncClient, Client\n"
        "import eigenfit_serving.client.transports.grpc_wire\n"
        "for url in ('grpc://localhost:1', 'http://localhost:1'):\n"
        "    Client(url, 'm').close()\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert {"grpc", "httpx", "numpy"} <= loaded
    unwanted = {"tensorflow", "tensorflow_serving", "eigenfit", "eigenfit_export"}
    assert not unwanted & loaded
    assert not {"pydantic", "typer", "httptools", "scipy"} & loaded


def test_importing_the_package_is_cheap():
    program = "import sys, eigenfit_serving; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not {"numpy", "pydantic", "grpc", "google", "typer"} & loaded
