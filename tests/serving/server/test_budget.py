import pytest

from eigenfit_serving.protocol.status import Code, RefusedError
from eigenfit_serving.server import budget
from eigenfit_serving.server.budget import Budget, Held

MEGABYTE = 1 << 20


@pytest.fixture
def given_back(monkeypatch):
    calls = []
    monkeypatch.setattr(budget, "give_back", lambda: calls.append(True))
    return calls


def test_what_one_holds_another_cannot():
    common = Budget(10 * MEGABYTE)
    one, other = Held(common), Held(common)
    one.grow(8 * MEGABYTE)
    with pytest.raises(RefusedError, match="max_pending_body_bytes") as caught:
        other.grow(3 * MEGABYTE)
    assert (caught.value.code, caught.value.http_status) == (
        Code.RESOURCE_EXHAUSTED,
        503,
    )
    other.grow(60_000)
    one.release()
    other.grow(8 * MEGABYTE)


def test_memory_is_given_back_at_the_end_of_a_burst(given_back):
    common = Budget(0)
    one, other = Held(common), Held(common)
    one.grow(MEGABYTE)
    one.release()
    assert not given_back
    one.grow(20 * MEGABYTE)
    other.grow(MEGABYTE)
    one.release()
    assert not given_back
    other.release()
    other.release()
    assert given_back == [True]


def test_what_is_parsed_is_held_for_a_while():
    common = Budget(40 * MEGABYTE)
    held = Held(common)
    with held.parsed(MEGABYTE), pytest.raises(RefusedError):
        Held(common).grow(11 * MEGABYTE)
    Held(common).grow(39 * MEGABYTE)
