"""A small world in network namespaces: the guard's rules on the real kernel, and the machine's own network untouched.

    anna, boris    labs, on the bridge `labs` of
    host           which has a hub (8002), a proxy's API (8001) and an ssh (22), and routes to
    world          which owns a public address, private ones, a resolver and the metadata address

Needs root, `ip` (iproute2) and `nft` (nftables).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

BRIDGE = "labs"
SUBNET = "172.30.0.0/16"
GATEWAY = "172.30.0.1"
ANNA = "172.30.0.2"
BORIS = "172.30.0.3"
HOST_OUTSIDE = "203.0.113.1"
WORLD = "203.0.113.9"
PUBLIC = "198.51.100.7"
RESOLVER = "10.255.255.53"
METADATA = "169.254.169.254"
WORLD_OWNS = (PUBLIC, RESOLVER, METADATA, "10.20.0.7", "10.30.0.7", "100.64.0.7", "169.254.1.7", "192.168.7.7")
HUB_PORT = 8002

# Echoes TCP and UDP on the ports given, on every address of its namespace: answers come from where they were asked.
ECHO = """
import asyncio, json, subprocess, sys

class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, data, source): self.transport.sendto(data, source)

async def stream(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()

async def main():
    loop = asyncio.get_running_loop()
    links = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True).stdout)
    addresses = [a["local"] for link in links for a in link["addr_info"] if a["scope"] == "global"]
    for address, port in ((a, int(p)) for a in addresses for p in sys.argv[1:]):
        await asyncio.start_server(stream, address, port)
        await loop.create_datagram_endpoint(Datagrams, (address, port))
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

# Prints "open" if an echo comes back, else the reason why not. A line on stdin after "open" sends again.
KNOCK = """
import socket, sys
kind, address, port, limit_s = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
where = socket.getaddrinfo(address, port)[0]
knock = socket.socket(where[0], {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[kind])
knock.settimeout(limit_s)
knock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
if len(sys.argv) > 5:
    knock.bind((sys.argv[5], 0))

def once():
    try:
        knock.send(b"knock")
        return "open" if knock.recv(100) == b"knock" else "closed"
    except OSError as error:
        return "silent" if isinstance(error, TimeoutError) else error.strerror

try:
    knock.connect(where[4])
    print(once(), flush=True)
    for _ in sys.stdin:
        print(once(), flush=True)
except OSError as error:
    print("silent" if isinstance(error, TimeoutError) else error.strerror, flush=True)
"""


class World:
    """The namespaces, by the names above; they carry `prefix` on the machine."""

    def __init__(self, prefix: str):
        self.prefix = prefix

    def command(self, where: str, *words: str) -> list[str]:
        return ["ip", "netns", "exec", f"{self.prefix}-{where}", *words]

    def run(self, where: str, *words: str, stdin: str | None = None) -> str:
        """What a program printed that ran in a namespace. Raises if it failed."""
        done = subprocess.run(self.command(where, *words), input=stdin, text=True, capture_output=True, timeout=30)
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout

    def set(self, where: str, setting: str, value: str) -> None:
        """Write one of a namespace's kernel settings under /proc/sys."""
        self.run(where, "sh", "-c", f"echo {value} >/proc/sys/{setting}")

    def python(self, where: str, *words: str, environ: dict[str, str] | None = None, **keywords) -> subprocess.Popen:
        """A Python program that runs in a namespace until it is terminated."""
        command = self.command(where, sys.executable, "-B", *words)
        return subprocess.Popen(
            command, text=True, stdout=subprocess.PIPE, env={**os.environ, **(environ or {})}, **keywords
        )

    def knock(self, where: str, kind: str, address: str, port: int, *, source: str = "", limit_s: float = 0.7) -> str:
        """ "open" if something at that address answers a program in namespace `where`, else why not."""
        words = [kind, address, str(port), str(limit_s), *([source] if source else [])]
        return self.run(where, sys.executable, "-c", KNOCK, *words, stdin="").strip()

    @contextlib.contextmanager
    def counting(self, where: str, match: str) -> Iterator[Callable[[], int]]:
        """Call what it yields for the number of packets that have come into a namespace and match."""
        hook = "type filter hook input priority 0;"
        self.run(where, "nft", f"table ip counting {{ chain in {{ {hook} {match} counter; }}; }}")

        def count() -> int:
            listing = json.loads(self.run(where, "nft", "-j", "list", "chain", "ip", "counting", "in"))
            return listing["nftables"][-1]["rule"]["expr"][-1]["counter"]["packets"]

        yield count
        self.run(where, "nft", "delete", "table", "ip", "counting")


@contextlib.contextmanager
def world(prefix: str) -> Iterator[World]:
    """The world, with its servers listening; gone afterwards."""
    made = World(prefix)
    with contextlib.ExitStack() as stack:
        for name in ("host", "anna", "boris", "world"):
            stack.enter_context(_namespace(made, name))
        _wire(made)
        for name, ports in {"host": (22, 8001, HUB_PORT), "boris": (8888,), "anna": (8888,), "world": (53, 80)}.items():
            stack.enter_context(_echo(made, name, ports))
        yield made


@contextlib.contextmanager
def _namespace(made: World, name: str) -> Iterator[None]:
    full = f"{made.prefix}-{name}"
    subprocess.run(["ip", "netns", "add", full], check=True)
    # `ip netns exec` shows this file as /etc/resolv.conf inside.
    resolv_conf = Path("/etc/netns") / full / "resolv.conf"
    resolv_conf.parent.mkdir(parents=True)
    resolv_conf.write_text(f"search example.org\nnameserver {RESOLVER}\n")
    try:
        made.run(name, "ip", "link", "set", "lo", "up")
        yield
    finally:
        subprocess.run(["ip", "netns", "del", full], check=True)
        shutil.rmtree(resolv_conf.parent)


def _wire(made: World) -> None:
    """Bridge, cables, addresses and routes."""
    made.run("host", "ip", "link", "add", BRIDGE, "type", "bridge")
    for lab, address in (("anna", ANNA), ("boris", BORIS)):
        _cable(made, lab, "host", f"{address}/16", "")
        made.run("host", "ip", "link", "set", f"to-{lab}", "master", BRIDGE)
    for address in (f"{GATEWAY}/16", "fd00:30::1/64"):
        made.run("host", "ip", "address", "add", address, "dev", BRIDGE, *(["nodad"] if ":" in address else []))
    made.run("host", "ip", "link", "set", BRIDGE, "up")
    made.run("anna", "ip", "address", "add", "fd00:30::2/64", "dev", "to-host", "nodad")
    _cable(made, "world", "host", f"{WORLD}/24", f"{HOST_OUTSIDE}/24")
    for address in WORLD_OWNS:
        made.run("world", "ip", "address", "add", f"{address}/32", "dev", "lo")
    for lab in ("anna", "boris"):
        made.run(lab, "ip", "route", "add", "default", "via", GATEWAY)
    made.run("host", "ip", "route", "add", "default", "via", WORLD)
    made.run("world", "ip", "route", "add", SUBNET, "via", HOST_OUTSIDE)
    made.set("host", "net/ipv4/ip_forward", "1")


def _cable(made: World, near: str, far: str, near_address: str, far_address: str) -> None:
    """A pair of interfaces: to-FAR in NEAR, to-NEAR in FAR."""
    far_end = ["type", "veth", "peer", "name", f"to-{near}", "netns", f"{made.prefix}-{far}"]
    made.run(near, "ip", "link", "add", f"to-{far}", *far_end)
    for place, device, address in ((near, f"to-{far}", near_address), (far, f"to-{near}", far_address)):
        if address:
            made.run(place, "ip", "address", "add", address, "dev", device)
        made.run(place, "ip", "link", "set", device, "up")


@contextlib.contextmanager
def _echo(made: World, name: str, ports: tuple[int, ...]) -> Iterator[None]:
    server = made.python(name, "-c", ECHO, *map(str, ports))
    try:
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.terminate()
        server.communicate(timeout=10)
