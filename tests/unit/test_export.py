"""Copies of databases are whole, whatever is written meanwhile."""

import sqlite3
import stat
import threading

import pytest

from jupyterhub_mlinfn import export


@pytest.fixture
def hub(tmp_path):
    """A hub's folder with one database, and a file that is none."""
    with sqlite3.connect(tmp_path / "identity.sqlite") as book:
        book.execute("CREATE TABLE people (name TEXT)")
        book.executemany("INSERT INTO people VALUES (?)", [(f"person {number}",) for number in range(2000)])
    (tmp_path / "passwords.json").write_text("{}")
    return tmp_path


def people(path):
    with sqlite3.connect(path) as book:
        assert book.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return book.execute("SELECT count(*) FROM people").fetchone()[0]


def test_every_database_is_copied_for_its_owner_alone(hub):
    assert export.copy_all(hub) == ["identity.sqlite"]
    copy = hub / "export/identity.sqlite"
    assert people(copy) == 2000
    assert (stat.S_IMODE(copy.stat().st_mode), stat.S_IMODE(copy.parent.stat().st_mode)) == (0o600, 0o700)
    assert [path.name for path in copy.parent.iterdir()] == ["identity.sqlite"]


def test_copies_of_databases_that_have_gone_go_as_well(hub):
    export.copy_all(hub)
    (hub / "identity.sqlite").unlink()
    assert export.copy_all(hub) == []
    assert list((hub / "export").iterdir()) == []


@pytest.mark.parametrize("name", [".identity.sqlite", "export/.identity.sqlite"])
def test_a_copy_that_was_begun_once_is_no_database(hub, name):
    (hub / "export").mkdir()
    (hub / name).write_bytes(b"half")
    assert export.copy_all(hub) == ["identity.sqlite"]
    assert [path.name for path in (hub / "export").iterdir()] == ["identity.sqlite"]


@pytest.mark.docker  # without an engine, but too long for the quick part
def test_a_copy_is_whole_while_somebody_writes(hub):
    ended = threading.Event()

    def write():
        with sqlite3.connect(hub / "identity.sqlite", timeout=30, isolation_level=None) as book:
            while not ended.is_set():
                book.execute("BEGIN IMMEDIATE")
                book.executemany("INSERT INTO people VALUES (?)", [("one",)] * 10)
                book.execute("COMMIT")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = []
        for _ in range(3):
            export.copy_all(hub)
            counts.append(people(hub / "export/identity.sqlite"))
    finally:
        ended.set()
        writer.join()
    assert all(count % 10 == 0 for count in counts)
    assert counts == sorted(counts)


def test_a_damaged_database_is_no_copy_and_the_last_good_one_stays(hub):
    export.copy_all(hub)
    (hub / "identity.sqlite").write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(sqlite3.Error):
        export.copy_all(hub)
    assert people(hub / "export/identity.sqlite") == 2000
