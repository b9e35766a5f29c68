"""The file of people: who may be called what, and what a change leaves behind."""

import json
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_mlinfn import passwords
from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.passwords import Person

FAST = passwords.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.mark.parametrize(
    ("typed", "name"),
    [("Anna", "anna"), ("  bob ", "bob"), ("Anna Rossi", "anna rossi"), ("root", "root"), ("🦊", "🦊"), ("..a", "..a"),
     ("Zoë", "zoë"), ("a" * 200, "a" * 200), ("O'Neill; rm -rf", "o'neill; rm -rf")],
)
def test_a_name_that_works_has_one_spelling(typed, name):
    assert passwords.check_name(typed) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [("", "empty"), ("   ", "empty"), ("a/b", "slash"), ("../x", "slash"), ("a\nb", "control"), ("a\x00b", "control"),
     ("an\u200bna", "invisible"), ("\u202eanna", "invisible"), ("a" * 201, "201"), ("..", "dots"), ("%2e%2e", "dots"),
     ("room-cms", "those of rooms"), (" Room-", "those of rooms")],
    ids=lambda value: repr(value)[:12],
)
def test_a_name_that_cannot_work_is_refused_with_the_reason(name, why):
    with pytest.raises(UserError, match=why):
        passwords.check_name(name)


@given(st.text(max_size=50))
def test_normalising_twice_changes_nothing(name):
    assert passwords.normalise(passwords.normalise(name)) == passwords.normalise(name)


def test_only_the_right_password_of_somebody_matches():
    anna = Person(FAST.hash("correct horse battery"))
    assert passwords.matches(anna, "correct horse battery")
    assert not passwords.matches(anna, "correct horse batterx")
    assert not passwords.matches(None, "correct horse battery")
    assert not passwords.matches(Person("not a hash"), "correct horse battery")


def test_hashes_are_argon2id_with_a_salt_of_their_own():
    first, second = passwords.hashed("the same password"), passwords.hashed("the same password")
    assert first.startswith("$argon2id$")
    assert first != second


def test_a_generated_password_is_accepted_and_never_the_same():
    made = {passwords.generated() for _ in range(50)}
    assert len(made) == 50
    assert all(passwords.check_password(each) for each in made)


def test_a_short_password_is_refused():
    with pytest.raises(UserError, match="12 to 1000"):
        passwords.check_password("hunter2")


def test_a_change_is_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "passwords.json"
    passwords.change(path, lambda people: passwords.added(people, "anna", Person("x", admin=True, groups=("cms",))))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"anna": {"hash": "x", "admin": True, "groups": ["cms"]}}
    assert passwords.read(path) == {"anna": Person("x", admin=True, groups=("cms",))}


def test_a_refused_change_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "passwords.json"
    passwords.change(path, lambda people: passwords.added(people, "anna", Person("x")))
    before = path.read_text()
    with pytest.raises(UserError, match="exists already"):
        passwords.change(path, lambda people: passwords.added(people, "anna", Person("y")))
    with pytest.raises(UserError, match="There is: anna"):
        passwords.change(path, lambda people: passwords.removed(people, "bob"))
    assert path.read_text() == before
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".json"] == ["passwords.json"]


def test_changes_at_the_same_time_are_all_kept(tmp_path):
    path = tmp_path / "passwords.json"

    def add(number):
        passwords.change(path, lambda people: passwords.added(people, f"user{number}", Person("x")))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passwords.read(path)) == 20


def test_no_file_is_nobody(tmp_path):
    assert passwords.read(tmp_path / "none.json") == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"anna": 1}', '{"anna": {"hash": "x"}}'])
def test_a_broken_file_is_said_with_what_to_do(tmp_path, text):
    path = tmp_path / "passwords.json"
    path.write_text(text)
    with pytest.raises(OperatorError, match="not a file of people"):
        passwords.read(path)


def test_a_person_is_printed_without_the_hash():
    assert "secret" not in repr(Person("secret"))
