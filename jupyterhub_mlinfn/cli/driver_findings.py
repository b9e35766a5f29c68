"""What is wrong below the GPUs that are lent: NVIDIA's driver, its toolkit, and Docker's specifications of devices."""

from __future__ import annotations

from ..gpus import cdi
from .asking import LATE, MISSING
from .driver import Seen
from .finding import Finding
from .known import Facts
from .machine import version
from .output import counted

SAFE = (1, 17, 8)
"""The first toolkit in which no container can become root on the machine by CVE-2025-23266."""
TOOLKIT = "nvidia-container-toolkit"
HOW = "docs/how-to/lend-gpus.md#get-the-driver-and-the-toolkit"
UNKNOWN = f"; if apt does not know it: {HOW}"
"""Debian's archive has the driver only in its non-free part, and nobody's but NVIDIA's has the toolkit."""
INSTALL = {"ubuntu": f"sudo ubuntu-drivers install && sudo reboot; if there is no such command: {HOW}"}
INSTALL_ELSE = f"sudo apt-get install linux-headers-$(uname -r) nvidia-driver && sudo reboot{UNKNOWN}"
LOG = "sudo dmesg | grep -i -e nvrm -e xid | tail"
KNOWN = (
    ("version mismatch", "The driver was upgraded, but the kernel still has the old one: no new lab gets a GPU. A "
     "reboot ends all labs.", "sudo reboot"),
    ("couldn't communicate", "The kernel has no module of it, perhaps since a new kernel came: nobody gets a GPU.",
     "sudo apt-get install linux-headers-$(uname -r) && sudo dkms autoinstall && sudo modprobe nvidia"),
    ("No devices", "It finds no card that works: nobody gets a GPU.", LOG),
)  # fmt: skip
"""Words of nvidia-smi, what they mean, and what mends it."""
RENEW = f"sudo mkdir -p /etc/cdi && {cdi.COMMAND}"


def driver(facts: Facts) -> Finding | None:
    """Nothing where there is no card, or none is to be lent."""
    seen, title = facts.machine.driver, "NVIDIA's driver"
    if has_gpus(facts):
        return Finding("green", title, f"{counted(len(uuids(seen)), 'GPU answers', 'GPUs answer')}.")
    if not seen.cards or not are_wanted(facts):
        return None
    if seen.smi.code == MISSING:
        return Finding("red", title, f"It is not installed, and nobody gets {counted(seen.cards, 'GPU')} that this "
                       "machine has.", INSTALL.get(seen.system, INSTALL_ELSE))  # fmt: skip
    if seen.smi.code == LATE:
        return Finding("red", title, "nvidia-smi takes too long: a card hangs, or the driver is loaded anew for each "
                       "question.", f"sudo nvidia-smi -pm 1; {LOG}")
    said = seen.smi.text.partition("\n")[0].rstrip(".") or "nvidia-smi says nothing"
    known = (each[1:] for each in KNOWN if each[0] in seen.smi.text)
    return Finding("red", title, *next(known, (f"It does not answer: {said}.", f"nvidia-smi; {LOG}")))


def has_gpus(facts: Facts) -> bool:
    """True if the driver answers and GPUs are to be lent."""
    return are_wanted(facts) and facts.machine.driver.smi.is_well and bool(uuids(facts.machine.driver))


def are_wanted(facts: Facts) -> bool:
    """True if real GPUs are to be lent."""
    return facts.settings.gpus.source not in ("none", "simulated")


def uuids(seen: Seen) -> tuple[str, ...]:
    """The cards that the driver knows."""
    return tuple(line.strip() for line in seen.smi.text.splitlines() if line.startswith("GPU-"))


def toolkit(facts: Facts) -> Finding | None:
    """Nothing where the driver gives no reason to have one."""
    seen, title = facts.machine.driver, "NVIDIA's toolkit"
    if not has_gpus(facts) or seen.toolkit.code == LATE:
        return None
    if not seen.toolkit.is_well:
        level, why = (("amber", "what Docker was told of GPUs cannot be renewed when the driver or the cards change")
                      if seen.named else ("red", "Docker cannot be told of GPUs"))  # fmt: skip
        return Finding(level, title, f"It is not installed: {why}.",
                       f"sudo apt-get install {TOOLKIT} && {RENEW}{UNKNOWN}")
    found = version(seen.toolkit.text)
    if found < SAFE:
        return Finding("red", title, f"With {'.'.join(map(str, found))} who is in a lab with a GPU may become root on "
                       "this machine (CVE-2025-23266).",
                       f"sudo apt-get update && sudo apt-get install --only-upgrade {TOOLKIT} && {RENEW}")
    return Finding("green", title, f"{'.'.join(map(str, found))} is there.")


def specifications(facts: Facts) -> Finding | None:
    """Nothing where CDI is off, which is said already, or the driver does not answer."""
    seen, title = facts.machine.driver, "GPUs by name"
    if not has_gpus(facts) or not facts.engine.get("CDISpecDirs"):
        return None
    if seen.gone:
        return Finding("red", title, f"Docker's specification is old and needs {seen.gone[0]}, which is gone, as after "
                       "a change of the driver or the cards. Labs with a GPU do not start.", RENEW)
    strangers = [name for name in seen.named if name.startswith("GPU-") and name not in uuids(seen)]
    if strangers:
        return Finding("amber", title, f"Docker's specification is old and names {', '.join(strangers)}, which the "
                       "driver does not know.", RENEW)
    if not seen.named:
        ways = "amber" if "nvidia" in (facts.engine.get("Runtimes") or {}) else "red"
        return Finding(ways, title, "Docker has no specification of GPUs, so it cannot give them by name.", RENEW)
    return Finding("green", title, "Docker's specification and the driver agree.")


def reload_trap(facts: Facts) -> Finding | None:
    """Whether `systemctl daemon-reload` takes GPUs away from labs; it cannot where systemd has nothing to say."""
    seen, title = facts.machine.driver, "GPUs that stay"
    if not has_gpus(facts) or facts.engine.get("CgroupDriver") != "systemd":
        return None
    why = "every `systemctl daemon-reload`, and an upgrade of packages does one, takes the GPUs from running labs"
    if facts.settings.gpus.driver == "nvidia":
        return Finding("red", title, f"With `driver: nvidia` {why}.",
                       "write `gpus: {driver: auto}` into mlinfn.yaml, then: mlinfn up. Labs are safe from their next "
                       "start")  # fmt: skip
    if not seen.named:
        return Finding("red", title, f"Docker has no names for GPUs (CDI), and so {why}.", RENEW)
    if seen.unlinked:
        return Finding("amber", title, f"systemd does not know {', '.join(seen.unlinked)}, as /dev/char does not list "
                       f"it, and so {why}.", "sudo nvidia-ctk system create-dev-char-symlinks --create-all")
    return Finding("green", title, "Labs keep them through `systemctl daemon-reload`.")
