"""The section `monitoring` of mlinfn.yaml: what is kept of how the machine is doing, and who is told of trouble."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from .settings_types import Clashes, Duration, Memory, Model, Reference
from .settings_words import Words

Receiver = Annotated[Literal[
    "email_configs", "webhook_configs", "slack_configs", "msteams_configs", "msteamsv2_configs", "discord_configs",
    "telegram_configs", "rocketchat_configs", "pushover_configs", "pagerduty_configs", "opsgenie_configs",
    "jira_configs", "webex_configs"],
    Words("a kind of receiver of Alertmanager's, such as email_configs or webhook_configs")]  # fmt: skip
SECRET = re.compile(r"(password|secret|token|token_id|_key|credentials|webhook_url)$")
"""Keys of Alertmanager's whose value is a secret. Each has a brother KEY_file."""
SLACK = re.compile(rf"{SECRET.pattern}|^api_url$")
"""The same for Slack. Others have an api_url that says where they are, and no more."""
SECRETS = "/run/secrets/"
"""Where Alertmanager sees the files of secrets/alertmanager."""
CADVISOR_LEAST = (0, 54)
"""Older ones find no container on Docker 29."""


class Thresholds(Model):
    disk_full: Duration = "1d"
    """A disk that will be full within so long, if it goes on as in the last six hours."""
    disk_free: int = Field(5, ge=1, le=50)
    """A disk with less free, in percent."""
    memory_free: int = Field(5, ge=1, le=50)
    """The machine with less memory to be had, in percent."""
    gpu_hot: int = Field(85, ge=40, le=120)
    """A GPU that is hotter, in degrees Celsius."""
    gpu_idle: int = Field(5, ge=1, le=50)
    """A GPU that somebody holds, and that was never busier in two hours, in percent."""
    starts_failing: int = Field(50, ge=1, le=100)
    """An image of which more starts fail within an hour, in percent."""
    restarts: int = Field(3, ge=1, le=100)
    """A service that started more often within an hour."""
    backup_verified: Duration = "7d"
    """A target of which no sample was restored for so long. How old a backup may be is `backup.max_age`."""
    certificate: Duration = "14d"
    """A certificate that ends sooner."""
    clock: Duration = "5s"
    """A clock that jumps by more."""


class Monitoring(Model):
    enabled: bool = True
    """Whether the machine is watched."""
    retention: Duration = "30d"
    """How long what was seen is kept."""
    size: Memory = "10G"
    """Most that it takes on disk, below `root`. The oldest goes first."""
    per_person: bool = True
    """Who uses how much. false: what is kept names nobody, and adds everybody up."""
    alerts: dict[Receiver, tuple[dict[str, Any], ...]] = Field({})
    """Who is told: receivers as Alertmanager has them. Their passwords are in files of secrets/alertmanager."""
    thresholds: Thresholds = Thresholds()
    """What is trouble."""
    cadvisor: Reference | None = None
    """The image of cAdvisor, 0.54 or newer, with its registry. Empty: it does not run."""

    def clashes(self) -> Clashes:
        for kind, receivers in self.alerts.items():
            for index, receiver in enumerate(receivers):
                for path, text in _open_secrets(receiver, SLACK if kind == "slack_configs" else SECRET):
                    yield ("alerts", kind, index, *path), text
        if (version := _version(self.cadvisor or "")) and version < CADVISOR_LEAST:
            yield ("cadvisor",), f"{self.cadvisor} is too old for Docker 29. Take 0.54 or newer."


def _open_secrets(data: Any, secret: re.Pattern[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Path and a sentence for each secret that is written out, and for each file that Alertmanager does not see."""
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, (list, tuple)) else ()
    for step, value in steps:
        if isinstance(value, (dict, list, tuple)):
            yield from (((step, *path), text) for path, text in _open_secrets(value, secret))
        elif secret.search(str(step)):
            yield (step,), (f"this is a secret. Put it into a file in secrets/alertmanager below `root`, and write "
                            f"{step}_file: {SECRETS}FILE.")
        elif str(step).endswith("_file") and not str(value).startswith(SECRETS):
            yield (step,), f"Alertmanager sees only the files of secrets/alertmanager, as {SECRETS}FILE."


def _version(image: str) -> tuple[int, int] | None:
    """Of `.../cadvisor:v0.54.1`; None where the tag does not say."""
    found = re.search(r":v?(\d+)\.(\d+)", image)
    return (int(found[1]), int(found[2])) if found else None
