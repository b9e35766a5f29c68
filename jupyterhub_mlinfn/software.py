"""CVMFS in labs: never a reason why a lab does not start, and said to the member when something of it is wrong.

Nothing here touches a path below /cvmfs: what is there is known from the prober, over HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from docker.errors import APIError
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Unicode

from .container import ContainerPlan
from .cvmfs import KERNEL, NOTHING_SAID, State, Unreadable, archive, parsed, trouble
from .errors import UserError
from .options import Choice, Offer, Profile
from .room import RoomSpawner
from .settings_cvmfs import IN_LABS

ANSWER_S = 1
FRESH_S = 2
REFUSALS = ("not a shared", "bind source path does not exist")
"""What the Engine says where a folder cannot be bound with slave propagation, or is not there."""
NONE_IN_LABS = "Labs have no /cvmfs at the moment, because of how this machine is set up. Tell the keeper."


class SoftwareSpawner(RoomSpawner):
    """How a lab gets /cvmfs, and a kernel from a view in it."""

    cvmfs_url = Unicode("", config=True, help="Where the prober says which repositories answer. Empty: nobody does.")

    _cvmfs_refused: ClassVar[str] = ""
    _cvmfs_known: ClassVar[tuple[float, Mapping[str, State]]] = (0.0, NOTHING_SAID)

    async def with_software(self, plan: ContainerPlan, make: Callable[[ContainerPlan], Awaitable[None]]) -> None:
        """Makes the lab as planned; without /cvmfs if the Engine cannot give it that."""
        try:
            await make(plan)
        except (APIError, UserError) as error:
            if not (why := _refusal(plan, error)):
                raise
            self._note_refusal(why)
            await self.discard()
            await make(_without(plan))
        else:
            self._note_refusal("")

    def _note_refusal(self, why: str) -> None:
        if why and why != SoftwareSpawner._cvmfs_refused:
            self.log.error("Labs start without %s until this is mended (`mlinfn doctor` says how): %s", IN_LABS, why)
        SoftwareSpawner._cvmfs_refused = why

    def view_of(self, profile: str) -> str:
        """The view of the image with this slug; empty for one that has none."""
        return next((image.view for image in self.images if image.slug == profile), "")

    def view_arguments(self, choice: Choice) -> list[str]:
        """What makes the view's kernel the one that is started where nobody says which."""
        return [f"--MultiKernelManager.default_kernel_name={KERNEL}"] if self.view_of(choice.profile) else []

    async def put_view(self, choice: Choice) -> None:
        """The kernel of the image's view is in the container that was just created."""
        if view := self.view_of(choice.profile):
            put = (self.client.put_archive, self.object_id, "/", archive(view))
            await asyncio.get_running_loop().run_in_executor(self.executor, *put)

    async def with_notes(self, offer: Offer) -> Offer:
        """The offer with what is wrong with repositories: on the cards of images that need one, and for all."""
        if not self.cvmfs.repositories:
            return offer
        states = await self._states()
        profiles = tuple(replace(each, notes=self._notes(each, states)) for each in offer.profiles)
        return replace(offer, profiles=profiles, notes=tuple(self._notes_for_all(states)))

    def _notes_for_all(self, states: Mapping[str, State]) -> Iterator[str]:
        if self._cvmfs_refused:
            yield NONE_IN_LABS
        # One sentence: one for each would push the cards off the screen when the network is down.
        if said := trouble(states, self.cvmfs.repositories):
            yield f"CVMFS: {', '.join(said)}. What reads there hangs or fails; labs start and stop as ever."

    def _notes(self, profile: Profile, states: Mapping[str, State]) -> tuple[str, ...]:
        needed = next((image.cvmfs for image in self.images if image.slug == profile.slug), ())
        if needed and self._cvmfs_refused:
            return (f"It needs {', '.join(needed)} from CVMFS, which labs do not have at the moment.",)
        return tuple(f"It needs CVMFS, and {said}." for said in trouble(states, needed))

    async def _states(self) -> Mapping[str, State]:
        """What the prober said at most two seconds ago; nothing where it does not say a thing within one."""
        at, known = SoftwareSpawner._cvmfs_known
        if not self.cvmfs_url or time.monotonic() - at < FRESH_S:
            return known
        try:
            limits = {"connect_timeout": ANSWER_S, "request_timeout": ANSWER_S}
            known = parsed((await AsyncHTTPClient().fetch(self.cvmfs_url, **limits)).body)
        except (HTTPClientError, OSError, Unreadable) as error:
            self.log.warning("Nobody says which repositories answer: %s: %s", self.cvmfs_url, error)
            known = NOTHING_SAID
        SoftwareSpawner._cvmfs_known = (time.monotonic(), known)
        return known


def _refusal(plan: ContainerPlan, error: Exception) -> str:
    """What the Engine said if it refused /cvmfs, else empty."""
    cause = error if isinstance(error, APIError) else error.__cause__
    source = next((mount["Source"] for mount in plan.host["mounts"] if mount.get("Target") == IN_LABS), None)
    said = str(cause.explanation) if isinstance(cause, APIError) else ""
    return said if source and source in said and any(each in said for each in REFUSALS) else ""


def _without(plan: ContainerPlan) -> ContainerPlan:
    mounts = [mount for mount in plan.host["mounts"] if mount.get("Target") != IN_LABS]
    return replace(plan, host={**plan.host, "mounts": mounts})
