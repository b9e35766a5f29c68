"""When somebody is looked up again, from times that were made up; and the loop over people who are not well."""

import asyncio
import json
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from jupyterhub_mlinfn.sessions import AT_ONCE, LONGEST_PAUSE_S, Look, Refresher, Rules, due_at, is_due, pause_s

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
def test_everybody_is_due_within_the_interval(at, renew_in, failures, refresh_s):
    waits = due_at(Look(at, at + renew_in, failures), refresh_s) - at
    assert 0 < waits <= max(refresh_s, 1) + 1e-6
    if failures:
        assert waits <= LONGEST_PAUSE_S


@given(st.floats(0, 2e9))
def test_people_who_were_looked_up_together_are_spread(at):
    assert len({due_at(Look(at), 300) for _ in range(20)}) > 5


class User:
    """Somebody with a lab that has no token file, and with a login of two hours."""

    encrypted_auth_state = b"something"

    def __init__(self, name):
        self.name = name
        self.spawners = {"": SimpleNamespace(active=True, pending=None, carries_token=False)}

    async def get_auth_state(self):
        return {"access_token": f"token-of-{self.name}", "expires": time.time() + 7200}


class Authenticator:
    """Cannot say anything about anybody; breaks over some, and is silent about others."""

    issuer, without_identity = "https://iam.example.org", frozenset({"room-cms"})
    trouble = SimpleNamespace(reason="server_error", since=5.0)

    def __init__(self):
        self.asked, self.now, self.most = Counter(), 0, 0

    async def refresh_user(self, user):
        self.asked[user.name] += 1
        if user.name.startswith("silent"):
            await asyncio.sleep(3600)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        if user.name == "broken":
            raise RuntimeError((await user.get_auth_state())["access_token"])
        return True


def test_one_persons_failure_is_nobody_elses(tmp_path, caplog):
    people = ["broken", "silent", *(f"member-{number}" for number in range(30))]
    authenticator = Authenticator()
    app = SimpleNamespace(users={name: User(name) for name in people}, authenticator=authenticator)
    (tmp_path / "hub").mkdir()
    asyncio.run(_run_until(app, Rules(tmp_path, refresh_s=0.1), lambda: min(
        authenticator.asked[name] for name in people if name != "silent") > 1))  # fmt: skip
    assert authenticator.asked["silent"] == 1
    assert 2 <= authenticator.most <= AT_ONCE
    assert "broken could not be looked up: RuntimeError" in caplog.text
    assert "refresh_user" in caplog.text
    assert "token-of" not in caplog.text
    state = json.loads((tmp_path / "hub/identity-service.json").read_text())
    assert state == {"ok": False, "reason": "server_error", "since": 5.0, "unknown": []}


class Database:
    """One whose disk fails: what was begun cannot even be undone."""

    def rollback(self):
        raise OperationalError("ROLLBACK", {}, OSError("disk I/O error"))


class Unreadable(User):
    """Somebody whose row cannot be read for a while."""

    left = 3

    async def get_auth_state(self):
        if self.left:
            self.left -= 1
            raise OperationalError("SELECT", {}, OSError("disk I/O error"))
        return await super().get_auth_state()


class People(dict):
    """Those of a hub whose database cannot list them at first."""

    left = 2

    def values(self):
        if self.left:
            self.left -= 1
            raise OperationalError("SELECT", {}, OSError("disk I/O error"))
        return super().values()


@pytest.mark.docker  # without an engine, but too long for the quick part
def test_loop_outlives_a_database_that_fails(tmp_path, caplog):
    authenticator = Authenticator()
    people = People({name: kind(name) for name, kind in (("anna", Unreadable), ("bob", User), ("room-cms", User))})
    app = SimpleNamespace(users=people, authenticator=authenticator, db=Database())
    (tmp_path / "hub").mkdir()
    asyncio.run(_run_until(app, Rules(tmp_path, refresh_s=0.1), lambda: min(authenticator.asked[name] for name in (
        "anna", "bob")) > 1))  # fmt: skip
    assert caplog.text.count("The refresher stumbled: OperationalError") == 2
    assert caplog.text.count("anna could not be looked up: OperationalError") == 3
    assert authenticator.asked["room-cms"] == 0, "rooms are nobody at the identity service"


class Silent(Authenticator):
    """Gives no answer about anybody, though nothing is known to be wrong with it."""

    trouble = None


@pytest.mark.docker  # without an engine, but too long for the quick part
def test_person_whom_no_look_tells_anything_of_is_named_once(tmp_path, caplog):
    authenticator = Silent()
    app = SimpleNamespace(users={"anna": User("anna")}, authenticator=authenticator)
    (tmp_path / "hub").mkdir()
    asyncio.run(_run_until(app, Rules(tmp_path, refresh_s=0.1), lambda: authenticator.asked["anna"] > 3))
    assert json.loads((tmp_path / "hub/identity-service.json").read_text())["unknown"] == ["anna"]
    assert caplog.text.count("Whether anna may stay cannot be told") == 1


async def _run_until(app, rules, is_enough):
    loop = asyncio.ensure_future(Refresher(app, rules).run(lambda: True))
    deadline = time.monotonic() + 20
    while not is_enough():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait([loop])
