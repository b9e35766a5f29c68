"""Fetching images: off the request path, one pull per image however many wait for it, with progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import docker
import requests
from docker.errors import APIError, ImageNotFound

from .errors import UserError
from .references import OURS

STALLED_S = 120
"""A registry that sends nothing for so long has stalled."""


@dataclass(frozen=True)
class Progress:
    """How far a pull is. Bytes count what is downloaded; percent also counts unpacking."""

    percent: int = 0
    done: int = 0
    total: int = 0
    is_asking: bool = True
    """False while others' images are fetched first."""

    def sentence(self, image: str) -> str:
        """What a member reads while waiting."""
        if not self.is_asking:
            return f"Fetching the image {image}: waiting until others are fetched"
        if not self.total:
            return f"Fetching the image {image}: asking the registry"
        return f"Fetching the image {image}: {self.percent} %, {self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB"


@dataclass
class Layers:
    """Adds up the Engine's messages about single layers."""

    def __post_init__(self):
        self.downloaded: dict[str, tuple[int, int]] = {}
        self.unpacked: dict[str, float] = {}
        self.highest = 0

    def add(self, message: dict[str, Any]) -> Progress:
        """The progress of the whole after one message of the Engine's stream."""
        layer, status, detail = message.get("id", ""), message.get("status", ""), message.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self.downloaded[layer] = (detail["current"], detail["total"])
        elif status in ("Download complete", "Pull complete") and layer in self.downloaded:
            total = self.downloaded[layer][1]
            self.downloaded[layer] = (total, total)
        if status == "Extracting" and detail.get("total"):
            self.unpacked[layer] = detail["current"] / detail["total"]
        elif status == "Pull complete":
            self.unpacked[layer] = 1.0
        return self._sum()

    def _sum(self) -> Progress:
        done = sum(current for current, _ in self.downloaded.values())
        total = sum(size for _, size in self.downloaded.values())
        unpacked = sum(self.unpacked.get(layer, 0) * size for layer, (_, size) in self.downloaded.items())
        if total:  # unpacking takes about a quarter of the time; layers are announced late, so never run backwards
            self.highest = max(self.highest, int(100 * (0.75 * done + 0.25 * unpacked) / total))
        return Progress(min(self.highest, 99), done, total)


class _PullingClient(docker.APIClient):
    """docker-py pulls without any read time-out: a silent registry would hold its thread for ever."""

    def _post(self, url, **kwargs):
        kwargs["timeout"] = STALLED_S
        return super()._post(url, **kwargs)


class _Pull:
    """One pull in progress and those who watch it."""

    def __init__(self, image: str):
        self.image = image
        self.progress = Progress(is_asking=False)
        self.changed = asyncio.Event()
        self.task: asyncio.Task | None = None

    def advance(self, progress: Progress) -> None:
        """Notes how far it is, and wakes those who watch."""
        if progress != self.progress:
            self.progress = progress
            self.changed.set()
            self.changed = asyncio.Event()


class Images:
    """The images on this machine's Engine, and the way to get more. One per process."""

    def __init__(self, at_once: int = 8, ended: Callable[[bool, float], None] | None = None, **client_arguments: Any):
        """`ended` hears of each pull whether it went well, and how many seconds it took."""
        self._client_arguments, self._ended = client_arguments, ended or (lambda is_well, took_s: None)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="pull")
        self._pulls: dict[str, _Pull] = {}

    async def fetch(self, image: str, limit_s: float) -> AsyncIterator[Progress]:
        """Progress until the image is on this machine; nothing if it is there already.

        `image` is a full reference. Leaving the iteration leaves the pull running: others may wait for it.
        Raises UserError (reason "image") if there is no such image, it may not be fetched, or the limit has passed.
        """
        if image not in self._pulls and await self._on_machine(image):
            return
        if image.startswith(OURS):  # whoever has that name at some registry is somebody else
            raise UserError(f"The image {image} is made on this machine, and is not there. Tell the keeper: "
                            "sudo mlinfn images build", reason="image")  # fmt: skip
        pull = self._joined(image, limit_s)
        while not pull.task.done():
            yield pull.progress
            changed = asyncio.ensure_future(pull.changed.wait())
            await asyncio.wait({changed, pull.task}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        pull.task.result()

    def _joined(self, image: str, limit_s: float) -> _Pull:
        if image not in self._pulls:
            pull = self._pulls[image] = _Pull(image)
            loop = asyncio.get_running_loop()
            # The limit counts from now: what waits for others' images is waited for as well.
            work = (self._pull, pull, loop, time.monotonic() + limit_s, limit_s)
            pull.task = asyncio.ensure_future(loop.run_in_executor(self._threads, *work))
            pull.task.add_done_callback(lambda task: (self._pulls.pop(image), task.exception()))
        return self._pulls[image]

    async def _on_machine(self, image: str) -> bool:
        # Not on the pulls' threads: those may all be busy for an hour.
        return await asyncio.to_thread(self._is_present, image)

    def _is_present(self, image: str) -> bool:
        with docker.APIClient(**self._client_arguments) as client:
            try:
                client.inspect_image(image)
            except ImageNotFound:
                return False
            return True

    def _pull(self, pull: _Pull, loop: asyncio.AbstractEventLoop, ends: float, limit_s: float) -> None:
        loop.call_soon_threadsafe(pull.advance, Progress())
        began, is_well = time.monotonic(), False
        try:
            for progress in pulling(pull.image, limit_s, ends, **self._client_arguments):
                loop.call_soon_threadsafe(pull.advance, progress)
            is_well = True
        finally:
            self._ended(is_well, time.monotonic() - began)


def pulling(image: str, limit_s: float, ends: float | None = None, **client_arguments: Any) -> Iterator[Progress]:
    """Progress of fetching the image from its registry, also if one of that name is here; at the end, it is.

    `ends`, of the monotonic clock, is when the limit has passed, if that did not begin now.
    Leaving the iteration ends the pull. Raises UserError (reason "image") as `Images.fetch` does.
    """
    ends, layers = ends or time.monotonic() + limit_s, Layers()
    repository, tag = split(image)
    try:
        with _PullingClient(**client_arguments) as client:
            for message in client.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in message:
                    raise refusal(image, str(message["error"]))
                if time.monotonic() > ends:
                    raise UserError(_too_slow(image, limit_s), reason="image")
                yield layers.add(message)
    except APIError as error:
        raise refusal(image, error.explanation or str(error)) from error
    except requests.RequestException as error:
        raise UserError(_too_slow(image, STALLED_S), reason="image") from error


def split(image: str) -> tuple[str, str]:
    """Repository and tag (or digest) of a reference; a missing tag is `latest`."""
    if "@" in image:
        repository, digest = image.split("@", 1)
        return repository, digest
    head, _, last = image.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{head}/{name}" if head else name, tag or "latest"


def refusal(image: str, answer: str) -> UserError:
    """What a member is told when the registry or the Engine says no."""
    if "denied" in answer or "unauthorized" in answer:
        why = "The registry does not have it, or does not let this machine have it."
    elif "manifest unknown" in answer or "not found" in answer or "does not exist" in answer:
        why = "The registry does not have it. Check its name and tag."
    elif "no such host" in answer or "connection refused" in answer or "timeout" in answer or "dial tcp" in answer:
        why = "Its registry does not answer."
    elif "invalid reference" in answer:
        why = "That is not the name of an image: write registry/repository/name:tag."
    else:
        why = "The Engine could not fetch it."
    return UserError(f"The image {image} cannot be had. {why}\nThe answer was: {answer[:300]}", reason="image")


def _too_slow(image: str, limit_s: float) -> str:
    return (
        f"Fetching the image {image} took longer than {limit_s:.0f} s and was given up. "
        "Try again: what has arrived is kept. If it stays slow, ask the keeper to fetch it."
    )


__all__ = ["Images", "Layers", "Progress", "pulling", "refusal", "split"]
