#!/usr/bin/env python3
"""Keeps the firewall around the labs as it should be.

    guard.py run       load the rules, watch them, put them back; answer on 127.0.0.1:$MLINFN_GUARD_PORT, at /health
                       and, for Prometheus, at /metrics
    guard.py probe     exit 0 if /health answers 200, else print why (the container's health check)
    guard.py show      print the rules that this machine should have
    guard.py remove    take the rules away (uninstall)

The rules belong to the kernel, not to this process: they stay when it stops. Python's standard library and `nft` only.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rules import Wall, removal, rules, wall_of

STARTED = time.time()
CHECK_EVERY_S = 1.0
CHECK_AT_MOST_EVERY_S = 0.1
NETLINK_NETFILTER = 12
NFTABLES_GROUP = 1 << 6  # NFNLGRP_NFTABLES is group 7


class NftError(Exception):
    """What nft said when it refused."""


def nft(*arguments: str) -> str:
    """What nft printed. Raises NftError with its words."""
    done = subprocess.run(["nft", *arguments], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise NftError((done.stderr.strip() or f"nft exited with {done.returncode}").splitlines()[0])
    return done.stdout


def load(wall: Wall) -> list[str]:
    """Load the rules in one transaction; gives them as the kernel understood them, for comparison with `loaded`."""
    echoed = json.loads(nft("--json", "--echo", rules(wall)))["nftables"]
    return comparable(step["add"] for step in echoed if "add" in step)


def loaded(wall: Wall) -> list[str]:
    """The rules that are in the kernel now; an empty list if a table is missing."""
    listing: list[dict] = []
    for family in ("inet", "bridge"):
        try:
            listing += json.loads(nft("--json", "list", "table", family, wall.table))["nftables"]
        except NftError:
            return []
    return comparable(item for item in listing if "metainfo" not in item)


def comparable(items: Iterable[dict]) -> list[str]:
    """Tables, chains and rules, one line each, the same for an echo and a listing of the same rules.

    Left out: handles, which the kernel counts up, and the order of chains. Rules stay in order within their chain.
    """
    keyed: dict[tuple, str] = {}
    for kind, what in (pair for item in items for pair in item.items()):
        place = (what["family"], what.get("table", what.get("name")), what.get("chain", what.get("name")))
        bare = json.dumps({k: v for k, v in what.items() if k != "handle"}, sort_keys=True)
        keyed[(*place, kind, what["handle"] if kind == "rule" else 0)] = f"{kind} {bare}"
    return [keyed[key] for key in sorted(keyed)]


class Guard:
    """The one owner of the rules: `check` compares and repairs, `health` only compares."""

    def __init__(self, wall: Wall, say: Callable[[str], None]):
        self.wall = wall
        self.say = say
        self.wanted: list[str] = []
        self.repairs = 0
        self.trouble = ""
        self.lock = threading.Lock()

    def check(self) -> None:
        """Load the rules again if they are not as they should be; a line of log for each repair and new trouble."""
        with self.lock:
            if self.wanted and loaded(self.wall) == self.wanted:
                return
            self._repair()

    def _repair(self) -> None:
        was = self.trouble
        try:
            first, self.wanted, self.trouble = not self.wanted, load(self.wall), ""
        except NftError as error:
            self.trouble = str(error)
            if self.trouble != was:
                self.say(f"the rules cannot be loaded: {self.trouble}")
            return
        self.repairs += not first
        self.say("rules loaded" if first else "the rules had been removed or changed: loaded again")

    def health(self) -> tuple[int, dict]:
        """HTTP status and facts: 200 if the kernel has exactly the wanted rules at this moment."""
        with self.lock:
            well = bool(self.wanted) and loaded(self.wall) == self.wanted
            why = self.trouble or ("" if well else "the rules are missing or changed")
            return (200 if well else 503), {"well": well, "why": why, "table": self.wall.table, "repairs": self.repairs}


def told(facts: Mapping) -> str:
    """The facts of health for Prometheus, and since when this process runs."""
    lines = (("process_start_time_seconds", "gauge", STARTED, "Start time of the process since unix epoch in seconds."),
             ("mlinfn_guard_up", "gauge", facts["well"],
              "1 while the kernel has exactly the rules around labs that it should"),
             ("mlinfn_guard_repairs_total", "counter", facts["repairs"],
              "How often they had been removed or changed, and were loaded again"))  # fmt: skip
    return "".join(f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name} {int(value)}\n"
                   for name, kind, value, text in lines)  # fmt: skip


def answer(guard: Guard, path: str) -> tuple[int, str, str]:
    """HTTP status, kind of content and text for a path."""
    if path not in ("/health", "/metrics"):
        return 404, "application/json", json.dumps({"why": "only /health and /metrics are here"}) + "\n"
    status, facts = guard.health()
    if path == "/metrics":
        return 200, "text/plain; version=0.0.4", told(facts)
    return status, "application/json", json.dumps(facts) + "\n"


def serve(guard: Guard, port: int) -> ThreadingHTTPServer:
    """An HTTP server on loopback, running on a thread of its own."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self):
            status, kind, text = answer(guard, self.path)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nothing: a line every few seconds would hide the ones that matter."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def changes() -> socket.socket:
    """A socket that becomes readable when anybody changes any nftables rule on this host."""
    bell = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    bell.bind((0, NFTABLES_GROUP))
    bell.setblocking(False)
    return bell


def wait(bell: socket.socket) -> None:
    """Return after a change, or after CHECK_EVERY_S without one."""
    select.select([bell], [], [], CHECK_EVERY_S)
    try:
        while bell.recv(65536):
            pass
    except BlockingIOError:
        return
    except OSError:  # more changes than the socket can hold: that is a change, too
        return


def run(wall: Wall, port: int) -> None:
    guard = Guard(wall, say)
    bell = changes()
    guard.check()
    serve(guard, port)
    while True:
        wait(bell)
        guard.check()
        time.sleep(CHECK_AT_MOST_EVERY_S)


def probe(port: int) -> int:
    """0 if the guard is well; otherwise prints what it said."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return 0
    except urllib.error.HTTPError as answer:
        print(answer.read().decode().strip())
    except OSError as error:
        print(f"the guard does not answer: {error}")
    return 1


def say(line: str) -> None:
    print(f"guard: {line}", flush=True)


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    verb = arguments[0] if arguments else "run"
    if verb == "probe":
        return probe(int(environ["MLINFN_GUARD_PORT"]))
    wall = wall_of(environ, Path("/etc/resolv.conf").read_text())
    if verb == "run":
        run(wall, int(environ["MLINFN_GUARD_PORT"]))
    elif verb == "show":
        print(rules(wall), end="")
    elif verb == "remove":
        nft(removal(wall))
        say("rules removed")
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
