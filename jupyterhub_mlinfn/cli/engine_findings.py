"""What is wrong with Docker, or should be known of it."""

from __future__ import annotations

from . import engine
from .asking import LATE, MISSING
from .finding import Finding
from .kernel_findings import keep
from .known import Facts
from .machine import version
from .site import CHECKOUT

INSTALL = f"sudo {CHECKOUT}/install.sh"
ENGINE_LEAST, CDI_LEAST, COMPOSE_LEAST = (23,), (25,), (2, 20)
"""install.sh refuses older engines; the second is the first with CDI; with older Compose nobody has tried this."""
RENEW = ('mlinfn down --labs && sudo apt-get remove "$(dpkg -S "$(readlink -f "$(command -v dockerd)")" | cut -d: -f1)"'
         f" && {INSTALL}")  # fmt: skip
"""Takes the package that dockerd is from away; images and labs' folders stay."""
CHANGE = ("sudo python3 -c 'import json, pathlib; f = pathlib.Path(\"/etc/docker/daemon.json\"); "
          "f.parent.mkdir(exist_ok=True); d = json.loads(f.read_text()) if f.exists() else {{}}; {change}; "
          "f.write_text(json.dumps(d, indent=2))'")  # fmt: skip
"""Changes one thing in Docker's settings, and leaves the others as they are."""
BOOT = ("sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&cgroup_enable=memory swapaccount=1 /' /etc/default/grub"
        " && sudo update-grub && sudo reboot")  # fmt: skip


def docker(facts: Facts) -> Finding:
    """Without it the others that need it are not asked."""
    if not isinstance(facts.engine, str):
        return Finding("green", "Docker", f"Engine {facts.engine.get('ServerVersion', '?')} answers.")
    if facts.engine == engine.NOT_INSTALLED:
        return Finding("red", "Docker", "There is no `docker` command on this machine, so nothing runs.", INSTALL)
    if facts.engine == engine.NOT_ALLOWED:
        return Finding("red", "Docker", "It runs, but does not answer to this user.", "sudo mlinfn doctor")
    reason, _, remedy = facts.engine.partition(" Start it with: ")
    return Finding("red", "Docker", reason, remedy or engine.restart_command())


def engine_version(facts: Facts) -> Finding | None:
    """Nothing where it is new enough: the first line says which it is."""
    is_old = version(_version(facts)) < ENGINE_LEAST
    return Finding("red", "Docker's version", f"{_version(facts)} is too old: images cannot be built with less than "
                   f"{ENGINE_LEAST[0]}. A new one ends all labs.", RENEW) if is_old else None  # fmt: skip


def _version(facts: Facts) -> str:
    return str(facts.engine.get("ServerVersion", ""))


def compose(facts: Facts) -> Finding | None:
    """Nothing where Docker itself is missing, or too slow to say."""
    found = facts.machine.compose
    if found.code in (MISSING, LATE):
        return None
    if not found.is_well or not version(found.text):
        return Finding("red", "Compose", "Docker has no `docker compose` here, so no service can be started.", INSTALL)
    if version(found.text) < COMPOSE_LEAST:
        least = ".".join(map(str, COMPOSE_LEAST))
        return Finding("amber", "Compose", f"{found.text} is older than {least}, the oldest that this is made for.",
                       "sudo apt-get update && sudo apt-get install --only-upgrade "
                       "\"$(dpkg -S /usr/*/docker/cli-plugins/docker-compose | cut -d: -f1)\"")
    return Finding("green", "Compose", f"{found.text} is there.")


def live_restore(facts: Facts) -> Finding:
    if facts.engine.get("LiveRestoreEnabled"):
        return Finding("green", "Engine restarts", "Labs go on while Docker is restarted (live-restore).")
    change = CHANGE.format(change='d["live-restore"] = True')
    return Finding("amber", "Engine restarts", "Restarting or upgrading Docker stops all labs: live-restore is off.",
                   f"{change} && {engine.reload_command()}")


def cdi(facts: Facts) -> Finding:
    if facts.engine.get("CDISpecDirs"):
        return Finding("green", "CDI", "Docker hands out devices by name.")
    if version(_version(facts)) < CDI_LEAST:
        return Finding("amber", "CDI", f"Docker {_version(facts)} has none; GPUs are better handed out with it, from "
                       f"Docker {CDI_LEAST[0]} on. A new one ends all labs.", RENEW)
    change = CHANGE.format(change='d.setdefault("features", {})["cdi"] = True')
    return Finding("amber", "CDI", "Docker's CDI is off; GPUs are better handed out with it.",
                   f"{change} && {engine.restart_command()}")


def bridge_filter(facts: Facts) -> Finding:
    if facts.engine.get("BridgeNfIptables", True):
        return Finding("green", "Between labs", "The kernel filters what labs send each other.")
    return Finding("red", "Between labs", "The kernel does not filter bridged traffic: labs could reach each other.",
                   "echo br_netfilter | sudo tee /etc/modules-load.d/mlinfn.conf && sudo modprobe br_netfilter && "
                   + keep("net.bridge.bridge-nf-call-iptables", 1))


def lab_limits(facts: Facts) -> Finding:
    title, about = "Limits of labs", facts.engine
    if not about.get("MemoryLimit", True):
        return Finding("red", title, "The kernel limits nobody's memory: one lab can take all of the machine's.", BOOT)
    if facts.machine.has_swap and not about.get("SwapLimit", True):
        return Finding("amber", title, "Labs may swap beyond their memory, and slow down everybody.",
                       "sudo swapoff -a && sudo sed -i '/[[:space:]]swap[[:space:]]/s/^/#/' /etc/fstab")
    if not about.get("PidsLimit", True) or not about.get("CpuCfsQuota", True):
        return Finding("amber", title, "This kernel limits no lab's processes or CPUs: one can take all.",
                       "sudo apt-get install linux-image-amd64 && sudo reboot")
    return Finding("green", title, "The kernel keeps each lab to its memory, CPUs and processes.")


def own_root(facts: Facts) -> Finding | None:
    """Nothing where uids in labs are those of the machine, as they have to be."""
    options = " ".join(facts.engine.get("SecurityOptions") or ())
    if "name=userns" in options:
        change = CHANGE.format(change='d.pop("userns-remap", None)')
        return Finding("red", "Docker's uids", "Docker gives containers other uids (userns-remap), so nobody can use "
                       "their home, nor the hub its files.", f"{change} && {engine.restart_command()} && {INSTALL}")
    if "name=rootless" in options:
        return Finding("red", "Docker's uids", "Docker runs as an ordinary user (rootless), so members have no uids of "
                       "their own and the guard cannot work.", f"dockerd-rootless-setuptool.sh uninstall && {INSTALL}")
    return None
