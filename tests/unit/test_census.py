"""Who is in which group, and how rooms stand, from a database in memory and rooms that are not there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from jupyterhub import orm
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import OperationalError

from jupyterhub_mlinfn import census
from jupyterhub_mlinfn.rooms import Room

ROOMS = tuple(Room(name, name, name, "image", "1G", "1") for name in ("cms", "new"))


@pytest.fixture
def app():
    """Anna in two groups, Bob in none, and one of the rooms, which has stopped."""
    db = orm.new_session_factory("sqlite:///:memory:")()
    anna, bob, room = (orm.User(name=name) for name in ("anna", "bob", "room-cms"))
    db.add_all([orm.Group(name="ml", users=[anna]), orm.Group(name="cms", users=[room, anna]), bob])
    db.commit()
    lab = SimpleNamespace(pending=None, ready=False, user=SimpleNamespace(name="room-cms", groups=room.groups))
    yield SimpleNamespace(db=db, users={room: SimpleNamespace(spawner=lab)})
    db.close()


def told(counted: census.Census) -> dict:
    """Values by name and labels."""
    registry = CollectorRegistry()
    counted.register(registry)
    return {(sample.name, *sample.labels.values()): sample.value
            for family in registry.collect() for sample in family.samples}  # fmt: skip


async def test_people_and_rooms_are_counted(app):
    counted = census.Census(app, ROOMS)
    await counted.look()
    found = told(counted)
    assert {key[1:] for key in found if key[0] == "jupyterhub_user_group_info"} == {
        ("anna", "cms"), ("anna", "ml"), ("room-cms", "cms")}  # fmt: skip
    assert {key[1]: value for key, value in found.items() if key[0] == "mlinfn_rooms"} == {
        "running": 0, "starting": 0, "stopping": 0, "stopped": 1}  # fmt: skip
    assert found["mlinfn_room_inside", "cms"] == 0


async def test_without_names_nobodys_groups_are_told(app):
    counted = census.Census(app, ROOMS, named=False)
    await counted.look()
    assert "anna" not in str(told(counted))


async def test_a_database_that_is_locked_ends_nothing(app, caplog):
    class Locked:
        tries = 0

        def query(self, *columns):
            self.tries += 1
            if self.tries == 1:
                raise OperationalError("SELECT", {}, Exception("database is locked"))
            return app.db.query(*columns)

        def rollback(self):
            """Done by the real one, too."""

    counted = census.Census(SimpleNamespace(db=Locked(), users=app.users), ())
    counted.every_s = 0.001
    loop = asyncio.ensure_future(counted.run(lambda: True))
    while not counted.groups:
        await asyncio.sleep(0.001)
    loop.cancel()
    assert "database is locked" in caplog.text
