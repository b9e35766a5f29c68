"""Around an empty machine, a city of its own: a site's network, a public internet and the metadata address.

The machine's way to the real world is cut, so whatever a lab sends stays on the machine.

    10.66.0.7      a server of the site, behind a router      10.67.0.7     one that `allow_networks` names
    10.66.1.53     the resolver of the machine's resolv.conf  198.51.100.7  the public internet
    169.254.169.254, 192.168.77.1                             the machine itself
"""

from __future__ import annotations

import shlex

from support.machine import Machine
from support.netns import ECHO, KNOCK

SITE = "10.66.0.7"
ALLOWED = "10.67.0.7"
RESOLVER = "10.66.1.53"
PUBLIC = "198.51.100.7"
METADATA = "169.254.169.254"
MACHINE = "192.168.77.1"

WIRING = f"""
ip route del default
ip netns add site
ip netns exec site ip link set lo up
ip link add to-site type veth peer name to-host netns site
ip address add 10.66.0.1/24 dev to-site
ip link set to-site up
ip netns exec site ip address add {SITE}/24 dev to-host
ip netns exec site ip link set to-host up
for address in {ALLOWED} {RESOLVER} {PUBLIC}; do
  ip netns exec site ip address add $address/32 dev lo
  ip route add $address via {SITE}
done
ip netns exec site ip route add default via 10.66.0.1
for address in {METADATA} {MACHINE}; do ip address add $address/32 dev lo; done
echo nameserver {RESOLVER} >/etc/resolv.conf
"""

# Answers every question with the public address.
NAMES = f"""
import socket
names = socket.socket(type=socket.SOCK_DGRAM)
names.bind(("{RESOLVER}", 53))
while True:
    question, asker = names.recvfrom(512)
    end = question.index(0, 12) + 5
    address = socket.inet_aton("{PUBLIC}")
    head = question[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0"
    names.sendto(head + question[12:end] + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + address, asker)
"""


def wire(machine: Machine) -> None:
    """Lay the wires, and a resolver; before the services start, which read resolv.conf."""
    machine.run(f"set -e\n{WIRING}")
    _start(machine, NAMES, "", in_site=True)


def serve(machine: Machine) -> None:
    """Listen on port 80 of everybody and on 22 and 2375 of the machine; after the labs' network was made."""
    _start(machine, ECHO, "80", in_site=True)
    _start(machine, ECHO, "80 22 2375", in_site=False)
    for address, port in ((SITE, 80), (ALLOWED, 80), (PUBLIC, 80), (METADATA, 80), (MACHINE, 2375)):
        machine.run(f"for i in $(seq 100); do {_knock(address, port)} && exit; sleep 0.1; done; exit 1")


def _start(machine: Machine, program: str, words: str, *, in_site: bool) -> None:
    where = "ip netns exec site" if in_site else ""
    machine.run(f"setsid {where} python3 -c {shlex.quote(program)} {words} >/dev/null 2>&1 </dev/null &")


def _knock(address: str, port: int) -> str:
    return f"python3 -c {shlex.quote(KNOCK)} tcp {address} {port} 1 </dev/null | grep -q open"


def knock(machine: Machine, lab: str, kind: str, address: str, port: int, limit_s: float = 0.7) -> str:
    """ "open" if something there answers a program in the container, else why not."""
    words = f"python3 -c {shlex.quote(KNOCK)} {kind} {address} {port} {limit_s}"
    return machine.run(f"docker exec {lab} {words}").strip()
