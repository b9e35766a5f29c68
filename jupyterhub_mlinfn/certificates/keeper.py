"""The service `certificate`: puts a certificate that was replaced where Traefik sees it, renews our own, and tells
Prometheus when the one ends that browsers are shown.

One that browsers would not take is left alone, with a sentence in the log, and the one that is in use stays in use.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone

from prometheus_client.core import Metric

from .. import loopback, metrics
from ..errors import OperatorError
from ..settings import Settings
from . import placing, served

EVERY_S = 5


class Keeper:
    """What is known of the certificate. One thread looks, round after round; another tells."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.trouble = ""
        self.served = served.Served()

    def go_on(self) -> None:
        """Round after round, for as long as the process lives."""
        while True:
            self.look(datetime.now(timezone.utc))
            time.sleep(EVERY_S)

    def look(self, now: datetime) -> None:
        """A new certificate is in place if there is one, and it is known what browsers are shown."""
        before, self.trouble = self.trouble, ""
        try:
            if placing.put(self.settings, now):
                print("A new certificate is in place.", flush=True)
        except (OperatorError, OSError) as error:
            self.trouble = str(error)
            if self.trouble != before:
                print(f"The certificate was not taken; the one before goes on. {error}", flush=True)
        self.served = served.look(self.settings, now)

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text for a path."""
        return loopback.told(path, lambda: metrics.page(self._families()))

    def _families(self) -> Iterator[Metric]:
        seen = self.served
        ends = [([self.settings.host], seen.ends.timestamp())] if seen.ends else []
        yield metrics.CERTIFICATE_EXPIRY.read(ends)
        yield metrics.CERTIFICATE_REFUSED.read([([], float(bool(self.trouble)))])
