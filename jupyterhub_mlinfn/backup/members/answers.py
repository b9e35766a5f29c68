"""What is answered to whom: each question with the token of a member, each answer about what is theirs."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ...errors import OperatorError, UserError
from ...identity import known
from ...rooms import rooms_of
from ..place import Place
from . import areas, browsing, copies
from .areas import Area
from .asker import Asker, Askers
from .copies import Copies
from .restores import Order, Restores
from .trees import Trees

PREFIX = "/members/"
STATUS = {"rights": 403, "absent": 404, "busy": 409, "full": 503, "away": 503}
"""Why something cannot be had -> status; what is not here is 400."""
IN_FLIGHT = 4
"""Questions of one person at a time."""
TOO_MANY = "You ask too much at a time. Wait for the answers."
UNREADABLE = "This copy cannot be read at the moment. Try again, or pick another date."
log = logging.getLogger("mlinfn.backup")


@dataclass(frozen=True)
class Question:
    """One, as it came by HTTP."""

    method: str
    address: str
    token: str = field(repr=False)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The address without what stands behind `?`."""
        return urlsplit(self.address).path.removeprefix(PREFIX)

    def words(self, *names: str) -> list[str]:
        """What stands behind `?`, or in the body where there is one. Raises UserError if one is not there, as text."""
        try:
            given = self._given()
        except (ValueError, RecursionError):
            given = {}
        found = [given.get(name) for name in names]
        if not all(isinstance(each, str) for each in found):
            raise UserError(f"Say {', '.join(names)}, each once.")
        return found

    def _given(self) -> Mapping[str, Any]:
        if self.method == "POST":
            said = json.loads(self.body)
            return said if isinstance(said, dict) else {}
        query = urlsplit(self.address).query
        found = parse_qs(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=8)
        return {name: values[0] for name, values in found.items() if len(values) == 1}


Answer = tuple[int, Mapping[str, Any]]


class Answers:
    """All of them."""

    def __init__(self, place: Place):
        self.place, self.askers, self.copies = place, Askers(place.hub), Copies(place)
        self.trees, self.restores = Trees(self.copies), Restores(place.hub, self.copies)
        self._lock, self._asking = threading.Lock(), Counter[str]()
        self._by_name: Mapping[tuple[str, str], Callable[[Asker, Question], Answer]] = {
            ("GET", "places"): self._places, ("GET", "dates"): self._dates, ("GET", "folder"): self._folder,
            ("GET", "restores"): self._restores, ("POST", "restores"): self._restore,
        }  # fmt: skip

    def answer(self, question: Question) -> Answer:
        """Status and data."""
        try:
            asker = self.askers.of(question.token)
            with self._turn(asker):
                return self._answered(asker, question)
        except UserError as error:
            return STATUS.get(error.reason, 400), {"message": str(error)}
        except OperatorError as error:
            log.warning("A member got no answer. %s", error)
            return 503, {"message": UNREADABLE}

    @contextmanager
    def _turn(self, asker: Asker) -> Iterator[None]:
        with self._lock:
            if self._asking[asker.name] >= IN_FLIGHT:
                raise UserError(TOO_MANY, reason="full")
            self._asking[asker.name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._asking[asker.name] -= 1
                self._asking += Counter()  # without those that ask nothing

    def _answered(self, asker: Asker, question: Question) -> Answer:
        if found := self._by_name.get((question.method, question.path)):
            return found(asker, question)
        kind, _, id_ = question.path.partition("/")
        if (question.method, kind) == ("DELETE", "restores"):
            self.restores.stop(asker.name, id_)
            return 200, {"id": id_}
        raise UserError("There is no such address.", reason="absent")

    def _areas(self, asker: Asker) -> dict[str, Area]:
        """Those of a member, by name. Raises OperatorError."""
        settings, book = self.place.settings, self.place.source("service") / "hub" / "identity.sqlite"
        groups = [each for each in settings.sharing_groups if each in asker.groups]
        rooms = [room for room in rooms_of(settings) if room.group in groups]
        accounts = [known(book, room.account, [room.group]) for room in rooms]
        return areas.of_member(known(book, asker.name, groups), zip(rooms, accounts, strict=True))

    def _area(self, asker: Asker, name: str) -> Area:
        """That one. Raises UserError if the member has none of this name."""
        try:
            return self._areas(asker)[name]
        except KeyError:
            raise UserError("There is no such place of yours.", reason="absent") from None

    def _places(self, asker: Asker, question: Question) -> Answer:
        return 200, {"places": [{"name": each.name, "title": each.title} for each in self._areas(asker).values()]}

    def _dates(self, asker: Asker, question: Question) -> Answer:
        (name,) = question.words("place")
        found = self.copies.of(self._area(asker, name).kind)
        return 200, {"dates": [{"snapshot": each.snapshot, "time": copies.written(each.time)} for each in found]}

    def _folder(self, asker: Asker, question: Question) -> Answer:
        name, snapshot, path = question.words("place", "snapshot", "path")
        area, parts = self._area(asker, name), areas.parts_of(path)
        return 200, browsing.folder(self.trees, self.copies.one(area.kind, snapshot), area, parts)

    def _restores(self, asker: Asker, question: Question) -> Answer:
        return 200, {"restores": self.restores.of(asker.name)}

    def _restore(self, asker: Asker, question: Question) -> Answer:
        name, snapshot, path = question.words("place", "snapshot", "path")
        area, parts = self._area(asker, name), areas.parts_of(path)
        copy = self.copies.one(area.kind, snapshot)
        node = browsing.picked(self.trees, copy, area, parts)
        return 202, {"id": self.restores.begin(asker, Order(area, copy, parts, node))}
