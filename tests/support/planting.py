"""What may be wrong with a machine: functions that plant it on one that is well (support/well.py)."""

from __future__ import annotations

import json

from support.places import free_ports

DEAD = "127.255.255.53"
"""Where no resolver is."""


def few_files(machine):
    folder = machine.disk("engine", "size=20g,nr_inodes=100")
    for number in range(99):
        (folder / str(number)).touch()


def small_disk(machine):
    machine.settings(root=f"{machine.disk('engine', 'size=30g')}/root")


def tls_port_taken(machine):
    port = free_ports()
    machine.settings(tls={"mode": "self-signed", "port": port})
    machine.listen(port)


def cvmfs(machine, **more):
    """A site with a repository, and a folder for it that nobody shares."""
    folder = str(machine.disk("cvmfs", "size=1m"))
    machine.settings(cvmfs={"repositories": ["sft.cern.ch"], "client": "host", "folder": folder, **more})


def lost_rules(machine):
    machine.edge.guard.status = 503
    machine.edge.guard.said = {"well": False, "why": "the rules are missing or changed", "repairs": 0}


def no_nft(machine):
    machine.edge.guard.status = 503
    machine.edge.guard.said = {"well": False, "why": "the rules cannot be loaded: Operation not supported"}


def old_engine_info(machine):
    machine.engine(ServerVersion="20.10.24", CDISpecDirs=None)


def engine_says(text):
    return lambda machine: machine.program("docker", f"#!/bin/sh\necho '{text}' >&2\nexit 1\n")


def smi_says(text):
    return lambda machine: machine.says("nvidia-smi", text, code=9)


def kernel_has(name, value):
    return lambda machine: machine.file(f"proc/sys/{name.replace('.', '/')}", f"{value}\n")


def no_subdomain(machine):
    machine.program("getent", "#!/bin/sh\ntest $2 != some-lab.hub.example.org && echo 192.0.2.7 STREAM\n")
    machine.public("hub.example.org")


def issuer_of_others(machine):
    machine.edge.issuer.said |= {"issuer": "https://iam.example.org"}


def fast_clock(name, seconds):
    return lambda machine: setattr(getattr(machine.edge, name), "ahead_s", -seconds)


def no_disk(machine):
    machine.file("etc/fstab", f"/dev/sdb1 {machine.folder} ext4 defaults 0 2\n")


def away(machine):
    machine.settings(iam={"issuer": f"http://127.0.0.1:{free_ports()}", "allowed_groups": ["a"]})


def ghost(machine):
    machine.settings(iam={"issuer": "https://iam.invalid", "allowed_groups": ["a"]})


def silent_registry(machine):
    machine.settings(images=[{"slug": "a", "title": "A", "image": f"127.0.0.1:{free_ports()}/new:1"}])


def old_specification(machine):
    machine.specification("GPU-5c1f0a12-0000-4000-8000-000000000001", "/dev/nvidia99")


def no_names(machine):
    (machine.world / "etc/cdi/nvidia.yaml").unlink()


def is_open(machine):
    (machine.root / "secrets").chmod(0o755)


def clock_is(**properties):
    text = "\n".join(f"{name}={value}" for name, value in properties.items())
    return lambda machine: machine.says("timedatectl", f"{text}\nNTPSynchronized=no")


def resolver_is(*addresses):
    text = "".join(f"nameserver {address}\n" for address in addresses)
    return lambda machine: machine.file("etc/resolv.conf", text.replace("GOOD", machine.edge.resolver.address))


def docker_asks(*addresses):
    return lambda machine: machine.file("etc/docker/daemon.json", json.dumps({"dns": [
        machine.edge.resolver.address if each == "GOOD" else each for each in addresses]}))  # fmt: skip


def resolved_asks(*addresses):
    """systemd-resolved asks these; programs are told of itself alone."""
    text = "".join(f"nameserver {address}\n" for address in addresses)

    def plant(machine):
        machine.file("run/systemd/resolve/stub-resolv.conf", "nameserver 127.0.0.53\n")
        machine.file("run/systemd/resolve/resolv.conf", text.replace("GOOD", machine.edge.resolver.address))
        (machine.world / "etc/resolv.conf").unlink()
        (machine.world / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")

    return plant
