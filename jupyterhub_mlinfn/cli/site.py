"""The instance that a command is about: its settings file, its settings, and the files of its root folder."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OperatorError

if TYPE_CHECKING:
    from ..settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
VERB = re.compile(r"\bmlinfn (?=[a-z])")
"""The command, before one of its verbs."""


@dataclass(frozen=True)
class Site:
    """Reads nothing until it is asked."""

    config: Path

    @classmethod
    def by_default(cls) -> Site:
        """The site whose settings MLINFN_CONFIG names, or config/mlinfn.yaml of this checkout."""
        from ..settings import config_path

        return cls(config_path())

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises OperatorError if they are wrong."""
        from ..settings import load

        return load(self.config)

    @property
    def is_checkouts_own(self) -> bool:
        """True for the instance that plain `docker compose` in compose/ works on."""
        return self.config.absolute() == CHECKOUT / "config" / "mlinfn.yaml"

    def command(self, text: str) -> str:
        """The command as it has to be typed for this instance: another than the checkout's own has to be named."""
        named = f"mlinfn --config {shlex.quote(str(self.config.absolute()))} "
        return text if self.is_checkouts_own else VERB.sub(lambda verb: named, text)

    @property
    def passwords(self) -> Path:
        """The file of people. Raises OperatorError if its folder was not made yet."""
        return self._hub_folder / "passwords.json"

    @property
    def identities(self) -> Path:
        """The book of names and uids. Raises OperatorError if its folder was not made yet."""
        return self._hub_folder / "identity.sqlite"

    @property
    def _hub_folder(self) -> Path:
        folder = self.settings.root / "hub"
        if not folder.is_dir():
            raise OperatorError(f"{folder} is not there yet, or not readable. Make it with: sudo mlinfn prepare")
        return folder

    @property
    def env_file(self) -> Path:
        """What Compose reads for this instance."""
        return self.settings.root / "compose.env"

    @property
    def compose_file(self) -> Path:
        """compose.yaml of the checkout. Raises OperatorError where this is installed without one."""
        path = CHECKOUT / "compose" / "compose.yaml"
        if not path.is_file():
            raise OperatorError(f"{path} is missing. This verb works from a checkout that ./install.sh was run in.")
        return path
