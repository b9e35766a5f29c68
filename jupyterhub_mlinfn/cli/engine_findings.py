"""What is wrong with Docker, or should be known of it."""

from __future__ import annotations

from .finding import Finding
from .known import Facts


def docker(facts: Facts) -> Finding:
    """Without it the others that need it are not asked."""
    if isinstance(facts.engine, str):
        reason, _, remedy = facts.engine.partition(" Start it with: ")
        return Finding("red", "Docker", reason, remedy)
    return Finding("green", "Docker", f"Engine {facts.engine.get('ServerVersion', '?')} answers.")


def live_restore(facts: Facts) -> Finding:
    if facts.engine.get("LiveRestoreEnabled"):
        return Finding("green", "Engine restarts", "Labs go on while Docker is restarted (live-restore).")
    return Finding("amber", "Engine restarts", "Restarting Docker stops all labs: live-restore is off.",
                   'put "live-restore": true into /etc/docker/daemon.json, then: sudo kill -HUP $(pidof dockerd)')


def cdi(facts: Facts) -> Finding:
    if facts.engine.get("CDISpecDirs"):
        return Finding("green", "CDI", "Docker hands out devices by name.")
    return Finding("amber", "CDI", "Docker's CDI is off; GPUs are better handed out with it.",
                   'put "features": {"cdi": true} into /etc/docker/daemon.json, then restart Docker')


def bridge_filter(facts: Facts) -> Finding:
    if facts.engine.get("BridgeNfIptables", True):
        return Finding("green", "Between labs", "The kernel filters what labs send each other.")
    return Finding("red", "Between labs", "The kernel does not filter bridged traffic: labs could reach each other.",
                   "sudo modprobe br_netfilter && sudo sysctl net.bridge.bridge-nf-call-iptables=1")
