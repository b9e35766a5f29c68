"""Whose lab it is: the member's numbers and folders on this machine, and the token that the lab carries for them."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyterhub.utils import maybe_future
from traitlets import Bool

from . import claims, folders, reclaim, tokens, volumes
from .engine import EngineSpawner
from .errors import UserError
from .folders import Folder
from .identity import Identities, Person, escape
from .traits import ModelTrait
from .volumes import Mount


class MemberSpawner(EngineSpawner):
    """How a lab knows its member."""

    uids = ModelTrait("uids")
    gids = ModelTrait("gids")
    groups = ModelTrait("groups")
    root_groups = ModelTrait("root_groups")
    storage = ModelTrait("storage")
    cvmfs = ModelTrait("cvmfs")
    bearer_token = Bool(False, config=True, help="""
        Give each lab its member's access token, in the file that BEARER_TOKEN_FILE names, and git their name.

        Needs `root`, with a tmpfs on its folder `run`, and the authenticator `indigo-iam`.""")

    @property
    def in_groups(self) -> tuple[str, ...]:
        """The member's groups of now, in one order."""
        return tuple(sorted(group.name for group in self.user.groups))

    def person(self) -> Person:
        """Who this lab is for; with their numbers where the site keeps homes."""
        if not self.root:
            return Person(self.user.name, escape(self.user.name))
        book = Identities(Path(self.root) / "hub" / "identity.sqlite", self.uids.as_range(), self.gids.as_range())
        return book.person(self.user.name, [name for name in self.in_groups if name in (self.groups or ())])

    @property
    def has_root(self) -> bool:
        """Whether the member may become root in the lab."""
        return bool(self.root) and bool(set(self.root_groups) & set(self.in_groups))

    async def folder_mounts(self, person: Person) -> tuple[Mount, ...]:
        """What the lab sees of this machine's disks, which is there. Raises UserError and OperatorError."""
        await self._settle()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.executor, self._make_folders, person)
        of_site = volumes.of_site(self.storage, self.in_groups)
        return (*self.mounts_of(person), *of_site)

    def mounts_of(self, person: Person) -> tuple[Mount, ...]:
        """What of this service's own folders the lab sees."""
        return volumes.of_person(Path(self.root), person)

    def folders_of(self, person: Person) -> tuple[Folder, ...]:
        """Those of them that are made for the lab, its home first."""
        return folders.of_person(Path(self.root), person)

    @property
    def carries_token(self) -> bool:
        return self.bearer_token and bool(self.root)

    @property
    def token_folder(self) -> Path:
        """Where the lab's token is on the host."""
        return tokens.folder(Path(self.root), Person(self.user.name, escape(self.user.name)), self.name)

    def write_token(self, auth_state: Mapping[str, Any]) -> bool:
        """True if the lab had another token. An expired one is worth less than none: it is not written.

        Raises OperatorError.
        """
        if auth_state["expires"] <= time.time():
            return False
        return tokens.write(Path(self.root), self.person(), self.name, auth_state["access_token"])

    async def token_mounts(self, person: Person) -> tuple[Mount, ...]:
        """What the lab sees of its token, which is there and fresh. Raises UserError if the member is out."""
        if not self.carries_token:
            return ()
        root, written = Path(self.root), None
        await self._renew()
        # Read once more after writing: the refresher may have renewed it in between.
        while (auth_state := await self.user.get_auth_state()) != written:
            self.write_token(auth_state)
            written = auth_state
        known = (written or {}).get("oauth_user") or {}
        tokens.write_gitconfig(root, person, self.name, claims.git_user(known))
        return (tokens.mount(root, person, self.name),)

    async def _renew(self) -> None:
        """Fetching the image may have taken longer than the token lives."""
        auth_state = await self.user.get_auth_state()
        if not auth_state or self.authenticator.renew_at(auth_state) > time.time():
            return
        if await self.authenticator.refresh_user(self.user) is False:
            raise UserError("You are logged out at the identity service, or not allowed here any more. Log in again.",
                            reason="session")  # fmt: skip

    async def run_post_stop_hook(self):
        """The site's own hook. Before it, the token is removed, whether the lab was stopped, died or never came up; and
        what root wrote becomes the member's.
        """
        if self.carries_token:
            tokens.remove(self.token_folder)
        await maybe_future(super().run_post_stop_hook())
        await self._settle()

    def _make_folders(self, person: Person) -> None:
        """Blocks while the disk thinks."""
        home, *others = self.folders_of(person)
        for each in (home, *others):
            folders.make(each)
        folders.link(home, volumes.links(person, self.cvmfs))
        if self.has_root:
            numbers = (min(self.uids.first, self.gids.first), max(self.uids.last, self.gids.last))
            reclaim.write(self._reclaim_book, reclaim.claims(Path(self.root), person, numbers))

    @property
    def _reclaim_book(self) -> Path:
        return reclaim.book_of(Path(self.root), escape(self.user.name))

    async def _settle(self) -> None:
        """Nothing of root's is left in the member's folders by a lab of before."""
        if not self.root or not self._reclaim_book.exists():
            return
        words = [sys.executable, "-m", "jupyterhub_mlinfn.reclaim", str(self._reclaim_book)]
        process = await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=STDOUT)
        said, _ = await process.communicate()
        report = self.log.info if process.returncode == 0 else self.log.error
        report("After the lab of %s, in which they could be root: %s", self.user.name, said.decode().strip())
