"""The firewall around the labs, as nftables text. Pure: settings in, text out.

The rules stand in tables of our own, so they work beside Docker's in whichever flavour those are written, and nobody's
`iptables -F` reaches them. They are looked at before Docker's (priority -10), and a drop or reject here is final.

Addresses are judged on every packet that a lab sends, not only on the first of a connection: what the rules forbid
today also ends connections that were allowed yesterday.

No rule uses a set: while one transaction replaces another, the kernel finds the old set empty for packets that are on
their way through the old rules, and those would slip past (measured). One comparison for each network has no such hole.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Address = ipaddress.IPv4Address
Subnet = ipaddress.IPv4Network

METADATA = Address("169.254.169.254")
"""Where clouds hand the machine's own credentials to whoever asks from it."""

PRIVATE = tuple(
    Subnet(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
"""Everything that is not the public internet: private, shared, link-local, multicast, broadcast."""


@dataclass(frozen=True)
class Wall:
    """What the rules depend on."""

    instance: str
    bridge: str
    subnet: Subnet
    hub_address: Address
    hub_port: int
    allow_networks: tuple[Subnet, ...] = ()
    resolvers: tuple[Address, ...] = ()

    @property
    def table(self) -> str:
        """Name of our tables. Injective: an instance's name holds no underscore."""
        return "mlinfn_" + self.instance.replace("-", "_")


def wall_of(environ: Mapping[str, str], resolv_conf: str) -> Wall:
    """The wall that Compose's variables and the text of resolv.conf describe."""
    allowed = environ.get("MLINFN_ALLOW_NETWORKS", "")
    return Wall(
        instance=environ["MLINFN_INSTANCE"],
        bridge=environ["MLINFN_LABS_BRIDGE"],
        subnet=Subnet(environ["MLINFN_LABS_SUBNET"]),
        hub_address=Address(environ["MLINFN_HUB_ADDRESS"]),
        hub_port=int(environ["MLINFN_HUB_PORT"]),
        allow_networks=tuple(ipaddress.collapse_addresses(Subnet(word.strip()) for word in allowed.split(",") if word)),
        resolvers=resolvers_of(resolv_conf),
    )


def resolvers_of(resolv_conf: str) -> tuple[Address, ...]:
    """The name servers in a resolv.conf that labs have to reach themselves.

    Docker's resolver asks from inside the lab's network, except where the server is on the host's loopback. Labs have
    no IPv6, and a server at the metadata address stays blocked: name another in the engine's daemon.json (`dns`).
    """
    words = [line.split() for line in resolv_conf.splitlines()]
    servers = [_address(line[1]) for line in words if line[:1] == ["nameserver"] and len(line) > 1]
    return tuple(sorted({a for a in servers if a and not a.is_loopback and a != METADATA}))


def _address(word: str) -> Address | None:
    """The IPv4 address in a word, or None if it is anything else."""
    try:
        return Address(word)
    except ipaddress.AddressValueError:
        return None


def rules(wall: Wall) -> str:
    """nftables text that replaces both of the instance's tables in one transaction."""
    return removal(wall) + _routed(wall) + _bridged(wall)


def removal(wall: Wall) -> str:
    """nftables text that removes both tables; `add` first, because deleting what is not there is an error."""
    tables = [f"{family} {wall.table}" for family in ("inet", "bridge")]
    return "".join(f"add table {table}\ndelete table {table}\n" for table in tables)


def _routed(wall: Wall) -> str:
    """The table for everything that the host's IP layer sees."""
    return f"""\
table inet {wall.table} {{
	chain input {{
		type filter hook input priority -10; policy accept;
		iifname "{wall.bridge}" jump lab_to_host
		# The hub's address is for labs and for this host; Linux would answer for it on every interface.
		iifname "lo" accept
		ip daddr {wall.hub_address} drop
	}}
	chain forward {{
		type filter hook forward priority -10; policy accept;
		iifname "{wall.bridge}" jump lab_to_elsewhere
		# Into labs from anywhere but this host: only answers.
		oifname "{wall.bridge}" ct direction reply accept
		oifname "{wall.bridge}" drop
	}}
	chain lab_to_host {{
{_from_lab(wall)}
		ct direction reply accept
		ip daddr {wall.hub_address} tcp dport {wall.hub_port} accept
{_to_resolvers(wall)}
		{REJECT}
	}}
	chain lab_to_elsewhere {{
{_from_lab(wall)}
		# Lab to lab. Docker's icc=false says so too; one of the two is enough.
		oifname "{wall.bridge}" drop
		ct direction reply accept
{_to_resolvers(wall)}
{_to(wall.allow_networks, "accept")}
{_to(PRIVATE, REJECT)}
	}}
}}
"""


# An answer, not silence: a library that looks for a metadata server or a mirror gives up at once instead of hanging.
REJECT = "reject with icmpx type admin-prohibited"


def _from_lab(wall: Wall) -> str:
    """What holds for every packet of a lab, whatever `allow_networks` says."""
    return f"""\
		meta nfproto ipv6 drop
		ip saddr != {wall.subnet} drop
		ip daddr {METADATA} {REJECT}
		ct state invalid drop"""


def _to_resolvers(wall: Wall) -> str:
    """Names are looked up where the engine looks them up, even on a private address or on this host."""
    return "\n".join(_to(wall.resolvers, f"{kind} dport 53 accept") for kind in ("udp", "tcp"))


def _to(places: Iterable[Address | Subnet], verdict: str) -> str:
    """The same verdict for each place that packets go to."""
    return "\n".join(f"\t\tip daddr {place} {verdict}" for place in places)


def _bridged(wall: Wall) -> str:
    """The table for frames between two labs, which holds even where `bridge-nf-call-iptables` is off."""
    return f"""\
table bridge {wall.table} {{
	chain forward {{
		type filter hook forward priority -10; policy accept;
		ip saddr {wall.subnet} drop
		arp saddr ip {wall.subnet} drop
	}}
}}
"""
