"""The pool against a made-up Engine: whatever happens, in whatever order, no device is lent twice and none is lost, and
nobody holds more than they may."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.gpus import Claimant, Device, EngineAway, Pool, Request, Tickets
from jupyterhub_mlinfn.gpus.ledger import HOLDING, LABELS
from jupyterhub_mlinfn.settings import GPUs

CARDS = tuple(Device(f"GPU-a{n}", "NVIDIA A100-SXM4-80GB", 80 * 2**30, n, nodes=(f"/dev/nvidia{n}",)) for n in range(2))
SMALL = tuple(Device(f"GPU-t{n}", "Tesla T4", 16 * 2**30, n, nodes=(f"/dev/nvidia{n}",)) for n in (2, 3))
SLICES = tuple(Device(f"MIG-{n}", "NVIDIA A100-SXM4-80GB", 10 * 2**30, 4, "1g.10gb", "GPU-a4") for n in range(2))
DEVICES = (*CARDS, *SMALL, *SLICES)
TOTALS = {"few": 2, "many": 4}
SITE = GPUs(share={"t4": 2}, per_server=2, per_person=3, classes={"a100-1g.10gb": 1},
            groups={name: {"total": total} for name, total in TOTALS.items()})  # fmt: skip
SLOTS = {device.uuid: 2 if device in SMALL else 1 for device in DEVICES}
USERS = [f"user-{n}" for n in range(6)]
GROUPS = {"few": frozenset(USERS[:3]), "many": frozenset(USERS[1:5]), "free": frozenset(USERS)}
SERVERS = [(user, server) for user in USERS for server in ("", "b")]
REQUESTS = ["1", "2", "a100-sxm4-80gb:1", "a100-sxm4-80gb:2", "t4:1", "t4:2", "a100-1g.10gb:1"]


class MadeUpEngine:
    """Containers as the Engine lists them; it can be away."""

    def __init__(self):
        self.found: dict[str, dict] = {}
        self.away = False
        self.numbers = itertools.count()

    def add(self, labels: dict, state: str = "running", **host) -> str:
        """The id of a new container."""
        name = f"c{next(self.numbers)}"
        server = labels.get(f"{LABELS}server")
        names = [f"/site-lab-{labels.get(f'{LABELS}user', '')}" + (f".{server}" if server else "")]
        self.found[name] = {"Id": name, "Names": names, "State": state, "Labels": labels, "Created": 1,
                            "HostConfig": host}  # fmt: skip
        return name

    async def containers(self) -> list[dict]:
        """The Engine's list, which takes a moment."""
        listed = [dict(each) for each in self.found.values()]
        await asyncio.sleep(0)
        if self.away:
            raise EngineAway
        return listed

    async def inspect(self, container: str) -> dict | None:
        """One container."""
        return self.found.get(container)

    def labs_on(self, uuid: str) -> int:
        """How many slots of a device the labs hold."""
        mine = [each for each in self.found.values() if each["State"] in HOLDING]
        return sum(uuid in each["Labels"].get(f"{LABELS}gpus", "").split(",") for each in mine)

    def strangers_on(self) -> set[str]:
        """Devices that containers of others hold."""
        return {uuid for each in self.found.values() for request in each["HostConfig"].get("DeviceRequests", ())
                for uuid in request["DeviceIDs"]}  # fmt: skip


class Start:
    """One start: it waits for its lease, then for the test's word, then its container is there or not."""

    def __init__(self, machine: Lending, who: tuple[str, str], words: str):
        self.machine, self.who, self.lease, self.error = machine, who, None, None
        slug, _, count = words.rpartition(":")
        self.request = Request(int(count), slug)
        self.word = asyncio.Event()
        self.fails = False
        self.task = machine.loop.create_task(self.run())

    async def run(self) -> None:
        """As a spawner would."""
        try:
            groups = {name: members for name, members in GROUPS.items() if self.who[0] in members}
            async with self.machine.pool.claim(Claimant(*self.who, groups), self.request) as lease:
                self.machine.granted(self, lease)
                self.lease = lease
                await self.word.wait()
                if not self.fails:
                    labels = {f"{LABELS}user": self.who[0], f"{LABELS}server": self.who[1], f"{LABELS}slots": "1"}
                    self.machine.engine.add({**labels, f"{LABELS}gpus": ",".join(lease.uuids)}, "created")
        except UserError as error:
            self.error = error


class Lending(RuleBasedStateMachine):
    """Claims, starts, crashes, stops, restarts, strangers, an Engine that is away, devices that disappear."""

    @initialize()
    def begin(self):
        self.loop = asyncio.new_event_loop()
        self.engine, self.tickets, self.devices = MadeUpEngine(), Tickets(":memory:"), list(DEVICES)
        self.starts: dict[tuple[str, str], Start] = {}
        self.wrong: list[str] = []
        self.hub_starts()

    def hub_starts(self):
        self.pool = Pool(self.engine, lambda: tuple(self.devices), self.tickets, SITE)
        self.settle()

    def settle(self):
        async def turn():
            for _ in range(3):
                self.pool.changed()
                for _ in range(8):
                    await asyncio.sleep(0)

        self.pool.changed()
        if self.starts:  # else nobody is there who could go on
            self.loop.run_until_complete(turn())
        self.starts = {who: start for who, start in self.starts.items() if not start.task.done()}

    def granted(self, start: Start, lease):
        """What must hold at the moment of a grant."""
        mine = next(number for number, each in self.pool._reserved.items() if (each.user, each.server) == start.who)
        ahead = [ticket for ticket in self.pool.line if ticket.number < mine and lease.gpu_class.slug in ticket.slugs
                 and ticket.request.count <= len(lease.gpu_class.devices) and self.may_have(ticket, lease.gpu_class)]
        self.wrong += [f"{start.who} passed {ticket}" for ticket in ahead]
        self.wrong += [f"{uuid} is a stranger's" for uuid in set(lease.uuids) & self.engine.strangers_on()]
        self.wrong += [f"{device.uuid} is gone" for device in lease.devices if device not in self.devices]
        if len(set(lease.uuids)) != start.request.count:
            self.wrong.append(f"{start.request} got {lease.uuids}")

    def may_have(self, ticket, gpu_class) -> bool:
        """Whether no limit keeps the ticket from devices of the class, nor somebody before it in a group's line."""
        count, held = ticket.request.count, self.held_by({ticket.user})
        of_class = sum(uuid in {device.uuid for device in gpu_class.devices} for uuid in held)
        if len(held) + count > 3 or of_class + count > SITE.classes.get(gpu_class.slug, 3):
            return False
        for group in TOTALS.keys() & ticket.groups.keys():
            before = [each for each in self.pool.line if each.number < ticket.number and group in each.groups]
            if any(len(self.held_by(GROUPS[group])) + each.request.count > TOTALS[group] for each in (*before, ticket)):
                return False
        return True

    def held_by(self, users) -> list[str]:
        """What labs of these people hold, and what was promised to their starts; a device for each time."""
        labs = {(each["Labels"][f"{LABELS}user"], each["Labels"][f"{LABELS}server"]): each["Labels"][f"{LABELS}gpus"]
                for each in self.engine.found.values() if each["Labels"] and each["State"] in HOLDING}  # fmt: skip
        promised = {(each.user, each.server): ",".join(each.uuids) for each in self.pool._reserved.values()}
        held = {**promised, **labs}
        return [uuid for (user, _), uuids in held.items() if user in users for uuid in uuids.split(",")]

    def labs_of(self, who: tuple[str, str]) -> list[str]:
        return [name for name, each in self.engine.found.items()
                if (each["Labels"].get(f"{LABELS}user"), each["Labels"].get(f"{LABELS}server")) == who]  # fmt: skip

    @rule(who=st.sampled_from(SERVERS), words=st.sampled_from(REQUESTS))
    def ask(self, who, words):
        if who not in self.starts and not self.labs_of(who):
            self.starts[who] = Start(self, who, words)
        self.settle()

    @rule(who=st.sampled_from(SERVERS), fails=st.booleans())
    def word(self, who, fails):
        if (start := self.starts.get(who)) and start.lease:
            start.fails = fails
            start.word.set()
        self.settle()

    @rule(who=st.sampled_from(SERVERS))
    def leave(self, who):
        self.pool.leave(*who)
        self.settle()

    @rule(who=st.sampled_from(SERVERS), how=st.sampled_from(["stop", "exited", "paused", "running"]))
    def lab_changes(self, who, how):
        self.labs_change(who, how)
        self.settle()

    def labs_change(self, who, how):
        for name in self.labs_of(who):
            if how == "stop":
                self.engine.found.pop(name)
            elif self.engine.found[name]["State"] != "exited":  # a lab that has ended is never started again
                self.engine.found[name]["State"] = how

    @rule(who=st.sampled_from(SERVERS))
    def cancelled(self, who):
        if start := self.starts.get(who):
            start.task.cancel()
        self.settle()

    @rule()
    def hub_is_killed(self):
        for start in self.starts.values():
            start.task.cancel()
        self.settle()
        self.hub_starts()

    @rule(uuid=st.sampled_from([device.uuid for device in DEVICES]))
    def stranger_comes(self, uuid):
        promised = [start.lease for start in self.starts.values() if start.lease]
        if not self.engine.labs_on(uuid) and not any(uuid in lease.uuids for lease in promised):
            self.engine.add({}, DeviceRequests=[{"Driver": "nvidia", "DeviceIDs": [uuid]}])
        self.settle()

    @rule()
    def strangers_go(self):
        self.engine.found = {name: each for name, each in self.engine.found.items() if each["Labels"]}
        self.settle()

    @rule(away=st.booleans())
    def engine_is_away(self, away):
        self.engine.away = away
        self.settle()

    @precondition(lambda self: not self.engine.away)
    @rule(device=st.sampled_from(DEVICES))
    def device_comes_and_goes(self, device):
        self.devices.remove(device) if device in self.devices else self.devices.append(device)
        self.settle()

    @invariant()
    def nothing_is_lent_twice(self):
        if not hasattr(self, "engine"):
            return
        assert self.wrong == [], self.wrong
        promised = [start.lease for start in self.starts.values() if start.lease]
        for uuid, slots in SLOTS.items():
            assert self.engine.labs_on(uuid) + sum(uuid in lease.uuids for lease in promised) <= slots, uuid

    @invariant()
    def nobody_holds_more_than_they_may(self):
        if not hasattr(self, "engine"):
            return
        for user in USERS:
            held = self.held_by({user})
            assert len(held) <= SITE.per_person, (user, held)
            assert sum(uuid.startswith("MIG-") for uuid in held) <= 1, (user, held)
        for group, total in TOTALS.items():
            assert len(self.held_by(GROUPS[group])) <= total, group

    def teardown(self):
        """When everything has stopped, all is free again, and whoever waited has been served in turn."""
        if not hasattr(self, "engine"):
            return
        self.engine.away, self.devices = False, list(DEVICES)
        self.strangers_go()
        for _ in range(3 * len(SERVERS)):
            for start in self.starts.values():
                start.word.set()
            self.settle()
            for who in SERVERS:
                self.labs_change(who, "stop")
            if not self.starts:
                break
        self.pool.changed()
        assert self.starts == {}
        view = self.loop.run_until_complete(self.pool.look())
        assert self.pool.free(view) == SLOTS
        self.loop.close()


Lending.TestCase.settings = settings(
    max_examples=200, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLending = Lending.TestCase
