"""A program in a lab that takes one CPU and a gigabyte, and says by its own clocks how much of a CPU it had."""

from __future__ import annotations

import json
import threading

from docker.models.containers import Container

GB = 10**9
# Holds a gigabyte, then works until it has had so much of a CPU: where others work as well, it takes longer. Every
# sample of Docker's has a moment of its own, so how long it takes does not make it more right.
PROGRAM = """
import json, time
held = bytearray({held})
held[::4096] = bytes(len(held[::4096]))
next_at, end = 0, time.process_time() + {seconds}
while time.process_time() < end:
    if time.time() > next_at:
        print(json.dumps([time.time(), time.process_time()]), flush=True)
        next_at = time.time() + 0.1
"""


class Burner:
    """It, at work for so many seconds of a CPU."""

    def __init__(self, lab: Container, seconds: float):
        self.text = ""
        _, stream = lab.exec_run(["python3", "-c", PROGRAM.format(held=GB, seconds=seconds)], stream=True)
        self.thread = threading.Thread(target=self._read, args=(stream,))
        self.thread.start()

    def _read(self, stream) -> None:
        for part in stream:
            self.text += part.decode()

    @property
    def said(self) -> list[tuple[float, float]]:
        """When, and how much of a CPU it had had by then."""
        return [tuple(json.loads(line)) for line in self.text.split("\n")[:-1]]

    def had(self, since: float, until: float) -> float:
        """How many CPUs it had between these moments."""
        first, last = (min(self.said, key=lambda each: abs(each[0] - at)) for at in (since, until))
        return (last[1] - first[1]) / (last[0] - first[0])
