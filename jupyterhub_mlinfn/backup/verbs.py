"""What `mlinfn backup` and `mlinfn restore` have done in a container: JSON, one line for each step and the answer."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from . import restoring, service, target
from . import state as states
from .place import KEY, Place
from .planning import kind_of
from .restic import Restic
from .restoring import Snapshot
from .target import Run, Say, snapshots
from .trouble import Trouble

PATIENCE_S, LOOK_S = 900, 0.5
"""Who types a verb waits so long for what the service does by itself at that moment."""
WAITS = "waits for what goes on there already"
Answer = Any
Done = TypeVar("Done")
Lock = Callable[[Path, str], contextlib.AbstractContextManager[int]]


def parser() -> argparse.ArgumentParser:
    """The words that the container takes."""
    top = argparse.ArgumentParser(prog="python3 -m jupyterhub_mlinfn.backup")
    verbs = top.add_subparsers(dest="verb")
    for name in ("serve", "run", "list", "check", "forget", "adopt", "key", "settings", "restore",
                 "everything"):  # fmt: skip
        verb = verbs.add_parser(name)
        verb.add_argument("--target", action="append", default=[])
        verb.add_argument("--when", default=restoring.LATEST)
        verb.add_argument("--instance", default="")
        verb.add_argument("--into", type=Path, default=Path("/restored"))
        verb.add_argument("--accept-empty", action="store_true")
        verb.add_argument("what", nargs="*")
    return top


def run(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """The state of each target after a run now, all at the same time. Raises Trouble, "busy"."""
    targets = words.target or place.settings.backup.targets

    def one(url: str) -> dict[str, Any]:
        return asdict(patiently(url, say, lambda: service.run(place, url, say, words.accept_empty)))

    with ThreadPoolExecutor(max(1, len(targets))) as threads:
        return list(threads.map(one, targets))


def patiently(url: str, say: Say, work: Callable[[], Done], patience_s: float = PATIENCE_S) -> Done:
    """What the work on a target gave, once nothing of ours is in its way. Raises what it raises.

    The service looks at its targets when it starts, and so just when a keeper has typed `mlinfn up` and types on.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            return work()
        except Trouble as trouble:
            if trouble.reason != "busy" or time.monotonic() >= end:
                raise
        say({"target": url, "step": WAITS, "percent": None})
        time.sleep(LOOK_S)


def list_(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """Target -> {"snapshots": its own, "trouble": why it does not tell them, "reason": in a word}; empty if it does."""

    def one(url: str) -> dict[str, Any]:
        return {"snapshots": [restoring.as_data(each) for each in snapshots(_answering(place.restic(url), say))]}

    return _each(words.target, {"snapshots": []}, one)


def check(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """Target -> {"trouble": why it is not sound, "reason": in a word}; empty if it is.

    `what` may hold a share of the data to read, such as 10%.
    """

    def one(url: str) -> dict[str, Any]:
        with _alone(place, url, say) as run:
            _answering(run.restic, say)
            run.unlock()
            run.check(*(f"--read-data-subset={each}" for each in words.what))
        return {}

    return _each(words.target, {}, one)


def _each(targets: Sequence[str], nothing: Mapping[str, Any], work: Callable[[str], Mapping[str, Any]]) -> Answer:
    """Target -> what the work on it gave, and its trouble: one that is away keeps no other from its turn."""
    done = {}
    for url in targets:
        try:
            done[url] = {**work(url), "trouble": "", "reason": ""}
        except Trouble as trouble:
            done[url] = {**nothing, "trouble": str(trouble), "reason": trouble.reason}
    return done


def _answering(restic: Restic, say: Say) -> Restic:
    """The same, once the target has said who it is. Raises Trouble after a minute: restic would try for long."""
    say({"target": restic.url, "step": "look", "percent": None})
    restic.identity()
    return restic


def forget(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """The snapshots that are gone, and what nobody else needs of them. Raises Trouble, UserError."""
    (url,) = words.target
    with _alone(place, url, say) as one:
        _answering(one.restic, say)
        one.ours(states.load(place.state, url).adopted)
        there = snapshots(one.restic)  # also of instances that are no more
        gone = [restoring.named(there, name) for name in words.what]
        one.unlock()
        with _held(states.removing, place, url, say):
            one.restic.ask("forget", "--prune", *(each["id"] for each in gone))
    return [restoring.as_data(each) for each in gone]


def adopt(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """The state of each target from which this machine goes on with it. Raises Trouble."""
    done = []
    for url in words.target:
        with _alone(place, url, say) as one:
            done.append(asdict(target.adopt(one)))
    return done


@contextlib.contextmanager
def _alone(place: Place, url: str, say: Say) -> Iterator[Run]:
    """What does one thing after the other on a target on which nobody else of ours works. Raises Trouble, "busy"."""
    with _held(states.alone, place, url, say) as held:
        yield Run(place, place.restic(url, (held,)), say)


@contextlib.contextmanager
def _held(lock: Lock, place: Place, url: str, say: Say) -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        yield patiently(url, say, lambda: stack.enter_context(lock(place.state, url)))


def key(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """Target -> empty if the key on standard input opens it, else why not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / KEY
        path.touch(mode=0o600)
        path.write_text(sys.stdin.readline().strip() + "\n")
        return {url: _opens(place.restic(url), path) for url in words.target}


def _opens(restic: Restic, path: Path) -> str:
    try:
        restic.with_key(path).identity()
    except Trouble as trouble:
        return str(trouble)
    return ""


def settings(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """The mlinfn.yaml in a target, empty if it is lost, and which moment it is of. Raises Trouble, UserError."""
    with _found(place, words, say) as (restic, found), tempfile.TemporaryFile() as text:
        snapshot = restoring.of_kind(found, "service")
        try:
            restoring.dump(restic, snapshot, "settings/mlinfn.yaml", text)
        except Trouble as trouble:
            if trouble.reason != "other":
                raise
            text.truncate(0)
        text.seek(0)
        return {"text": text.read().decode(), "instance": snapshot["hostname"], "time": snapshot["time"]}


def restore(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """One part of one kind of data, in the folder `into`. Raises Trouble, UserError."""
    kind, inner = restoring.parsed(words.what[0])
    with _found(place, words, say) as (restic, found):
        return _restored(restic, restoring.of_kind(found, kind), inner, words.into, say)


def everything(place: Place, words: argparse.Namespace, say: Say) -> Answer:
    """Each kind of data in a folder of its name below `into`. Raises Trouble, UserError."""
    with _found(place, words, say) as (restic, found):
        return [_restored(restic, found[kind], "", words.into / kind, say) for kind in found]


def _restored(restic: Restic, snapshot: Snapshot, inner: str, folder: Path, say: Say) -> dict[str, Any]:
    kind = kind_of(snapshot)
    told = restoring.restore(restic, snapshot, inner, folder, lambda each: say(
        {"target": restic.url, "step": kind, "percent": round(100 * each.get("percent_done", 0))}))
    missing = [str(PurePosixPath(kind, each)) for each in told["missing"]]
    return {**restoring.as_data(snapshot), "restored": told.get("files_restored", 0), "missing": missing}


@contextlib.contextmanager
def _found(place: Place, words: argparse.Namespace, say: Say) -> Iterator[tuple[Restic, dict]]:
    """The snapshots of a moment, of which none is removed inside the block. Raises Trouble, UserError."""
    (url,) = words.target
    with _held(states.reading, place, url, say) as held:
        restic = _answering(place.restic(url, (held,)), say)
        yield restic, restoring.chosen(restoring.of_instance(snapshots(restic), words.instance), words.when)


VERBS: Mapping[str, Callable[[Place, argparse.Namespace, Say], Answer]] = {
    "run": run, "list": list_, "check": check, "forget": forget, "adopt": adopt, "key": key, "settings": settings,
    "restore": restore, "everything": everything,
}  # fmt: skip
