"""The local login: who gets in, with which groups, and how slow guessing is."""

import asyncio
import logging
import time
from types import SimpleNamespace

import pytest
from tornado.web import HTTPError

from jupyterhub_mlinfn import claims, passwords
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.local import Attempts, LocalAuthenticator, delay_s
from jupyterhub_mlinfn.passwords import Person

RIGHT = "correct horse battery"


@pytest.fixture
def path(tmp_path):
    hasher = passwords.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    right = hasher.hash(RIGHT)
    people = {"anna": Person(right, admin=True, groups=("cms", "ml")), "🦊 fox": Person(right)}
    passwords.change(tmp_path / "passwords.json", lambda _: people)
    return tmp_path / "passwords.json"


@pytest.fixture
def login(path):
    authenticator = LocalAuthenticator(passwords=str(path))
    authenticator.attempts = Attempts(delay=lambda failures: 0)
    yield authenticator
    authenticator.executor.shutdown()


def typed(username, password=RIGHT):
    return {"username": username, "password": password}


async def test_the_right_password_brings_groups_and_admin(login):
    model = await login.get_authenticated_user(None, typed(" Anna "))
    assert (model["name"], model["admin"], model["groups"]) == ("anna", True, ["cms", "ml"])


async def test_a_name_may_be_a_fox(login):
    model = await login.get_authenticated_user(None, typed("🦊 Fox"))
    assert (model["name"], model["admin"], model["groups"]) == ("🦊 fox", False, [])


@pytest.mark.parametrize("data", [typed("anna", "wrong"), typed("anna", ""), typed("nobody"), {"username": "anna"},
                                  typed("anna", "x" * 100_000)], ids=["wrong", "empty", "unknown", "missing", "long"])
async def test_anything_else_is_refused(login, data):
    assert await login.get_authenticated_user(None, data) is None


@pytest.mark.parametrize("name", ["", "../anna", "a\nb", "x" * 201])
async def test_an_impossible_name_is_refused_with_a_sentence(login, name):
    with pytest.raises(HTTPError, match="user name") as refusal:
        await login.get_authenticated_user(None, typed(name))
    assert refusal.value.status_code == 403


async def test_the_account_of_a_room_is_nobody_here_and_nobody_else_is_called_so(path):
    hub = LocalAuthenticator(passwords=str(path), without_identity={"room-cms"})
    assert await hub.refresh_user(SimpleNamespace(name="room-cms")) is True
    assert [hub.validate_username(name) for name in ("room-cms", "room-ml", "anna")] == [True, False, True]
    with pytest.raises(HTTPError, match="those of rooms"):
        await hub.get_authenticated_user(None, typed("room-cms"))
    hub.executor.shutdown()


async def test_refresh_follows_the_file(login, path):
    anna = SimpleNamespace(name="anna")
    info = {"name": "anna", "display_name": "anna", "initials": "A", "color": claims.color("anna")}
    known = {"name": "anna", "user_info": info}
    assert await login.refresh_user(anna) == {**known, "admin": True, "groups": ["cms", "ml"]}
    passwords.change(path, lambda people: {"anna": Person(people["anna"].hash, groups=("ml",))})
    assert await login.refresh_user(anna) == {**known, "admin": False, "groups": ["ml"]}
    passwords.change(path, lambda people: passwords.removed(people, "anna"))
    assert await login.refresh_user(anna) is False
    assert await login.get_authenticated_user(None, typed("anna")) is None


async def test_without_a_file_nobody_enters(login, path):
    path.unlink()
    assert await login.get_authenticated_user(None, typed("anna")) is None


async def test_a_broken_file_lets_nobody_in_and_tells_the_keeper(login, path, caplog):
    path.write_text("{")
    login.log = logging.getLogger("test-local")
    with pytest.raises(HTTPError) as refusal:
        await login.get_authenticated_user(None, typed("anna"))
    assert refusal.value.status_code == 503
    assert str(path) in caplog.text


async def test_no_password_reaches_the_log(login, caplog):
    login.log = logging.getLogger("test-local")
    with caplog.at_level(logging.DEBUG):
        await login.get_authenticated_user(None, typed("anna", "do-not-log-me"))
    assert "do-not-log-me" not in caplog.text


async def test_an_unknown_name_takes_as_long_as_a_known_one(path):
    passwords.change(path, lambda _: {"anna": Person(passwords.hashed(RIGHT))})
    login = LocalAuthenticator(passwords=str(path))
    await login.authenticate(None, typed("warm up", "wrong password"))
    took = {}
    for name in ("anna", "nobody") * 5:  # the fastest of each: others use the machine as well
        login.attempts = Attempts(delay=lambda failures: 0)
        start = time.perf_counter()
        await login.authenticate(None, typed(name, "wrong password"))
        took[name] = min(time.perf_counter() - start, took.get(name, 1e9))
    assert took["nobody"] > 0.3 * took["anna"]
    login.executor.shutdown()


async def test_checking_a_password_does_not_hold_up_the_loop(path):
    login = LocalAuthenticator(passwords=str(path))
    attempt = asyncio.create_task(login.authenticate(None, typed("nobody", "wrong password")))
    turns = 0
    while not attempt.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    login.executor.shutdown()


def test_the_delay_grows_and_is_bounded():
    delays = [delay_s(failures) for failures in range(200)]
    assert delays[:3] == [0, 0, 0]
    assert delays == sorted(delays)
    assert delays[3] > 0
    assert delays[-1] == 5


async def test_failures_count_until_the_right_password(login):
    for _ in range(5):
        await login.authenticate(None, typed("anna", "wrong"))
    assert login.attempts.queues["anna"].failures == 5
    assert await login.authenticate(None, typed("anna"))
    assert login.attempts.queues["anna"].failures == 0


async def test_attempts_for_one_name_go_one_by_one_and_the_line_is_bounded():
    attempts = Attempts(delay=lambda failures: 0, longest_queue=3)
    inside, most, gate = 0, 0, asyncio.Event()

    async def attempt(name):
        nonlocal inside, most
        async with attempts.turn(name):
            inside += 1
            most = max(most, inside)
            await gate.wait()
            inside -= 1

    tasks = [asyncio.create_task(attempt("anna")) for _ in range(3)]
    while attempts.queues.get("anna") is None or attempts.queues["anna"].waiting < 3:
        await asyncio.sleep(0)
    with pytest.raises(UserError, match="Too many attempts"):
        await attempt("anna")
    async with attempts.turn("bob"):
        pass
    gate.set()
    await asyncio.gather(*tasks)
    assert most == 1
    assert attempts.queues["anna"].waiting == 0


async def test_names_that_were_tried_do_not_fill_the_memory():
    attempts = Attempts(delay=lambda failures: 0, most_names=100)
    for number in range(1000):
        async with attempts.turn(f"name{number}"):
            pass
    assert len(attempts.queues) <= 100
