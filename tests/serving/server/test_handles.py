from tests.serving.server.fakes_life import FakeServable

from eigenfit_serving.server.handles import Handle


def test_the_last_user_is_told_of():
    handle, told = Handle(FakeServable()), []
    assert handle.retain()
    assert handle.retain()
    handle.retire(lambda: told.append(True))
    handle.release()
    assert told == []
    handle.release()
    assert told == [True]


def test_what_nobody_uses_goes_at_once():
    handle, told = Handle(FakeServable()), []
    handle.retain()
    handle.release()
    handle.retire(lambda: told.append(True))
    assert told == [True]


def test_nobody_comes_in_when_it_is_on_its_way_out():
    handle = Handle(FakeServable())
    handle.retire(lambda: None)
    assert not handle.retain()


def test_it_is_closed_once():
    servable = FakeServable()
    handle = Handle(servable)
    handle.close()
    handle.close()
    assert servable.closed == 1
    assert handle.servable is None
