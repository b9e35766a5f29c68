"""When somebody is looked up again: from times that were made up."""

from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_mlinfn.sessions import LONGEST_PAUSE_S, Look, due_at, is_due, pause_s

HOUR = 3600.0
seconds = st.floats(1, 10 * HOUR)


def test_somebody_new_is_looked_up_at_once():
    assert is_due(None, 1000.0, refresh_s=300)


def test_after_the_interval_less_what_the_look_takes():
    look = Look(1000.0, haste=0.1)
    assert due_at(look, 300) == 1270
    assert not is_due(look, 1269, 300)
    assert is_due(look, 1270, 300)


def test_earlier_if_the_token_ends_earlier():
    assert due_at(Look(1000.0, renew_at=1100.0), 300) == 1100


def test_a_token_that_is_always_old_does_not_make_the_loop_spin():
    assert due_at(Look(1000.0, renew_at=0.0), 300) == 1001


def test_pauses_grow_to_a_minute():
    assert [pause_s(failures, 300) for failures in (1, 2, 3, 6, 7, 8, 5000)] == [1, 2, 4, 32, 60, 60, 60]


def test_pauses_are_never_longer_than_the_interval():
    assert [pause_s(failures, 2) for failures in (1, 2, 3, 9)] == [1, 2, 2, 2]


def test_a_clock_that_was_put_back_makes_everybody_due():
    assert is_due(Look(at=5000.0), 1000.0, 300)


@given(at=st.floats(0, 2e9), renew_in=st.floats(-HOUR, 10 * HOUR), failures=st.integers(0, 10_000), refresh_s=seconds)
def test_everybody_is_due_within_the_interval_and_never_at_once(at, renew_in, failures, refresh_s):
    waits = due_at(Look(at, at + renew_in, failures), refresh_s) - at
    assert 0.7 < waits <= max(refresh_s, 1) + 1e-6
    if failures:
        assert waits <= LONGEST_PAUSE_S


@given(st.floats(0, 2e9))
def test_people_who_were_looked_up_together_are_spread(at):
    assert len({due_at(Look(at), 300) for _ in range(20)}) > 5
