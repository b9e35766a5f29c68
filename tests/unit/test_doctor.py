"""`mlinfn doctor` finds what is planted at a machine's edge, and names what mends it; where nothing is, it is content.

tests/unit/test_doctor_mends.py runs what is named.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess

import pytest
from support.places import CHECKOUT, free_ports
from support.well import OLD_CARD

PAGE = (CHECKOUT / "docs/how-to/when-something-is-wrong.md").read_text()
DRIVER = "NVIDIA's driver"
TOOLKIT = "NVIDIA's toolkit"
SITE = ("Disk", "Images' disk")
"""Findings about the disk of the machine that the tests run on."""


def test_a_machine_on_which_everything_is_well_is_green(machine):
    found = [each for each in machine.doctor() if each.title not in SITE]
    assert [each for each in found if each.level != "green" or each.remedy] == []


def listen(port):
    """Somebody else's program on a port, until the test ends."""
    stranger = socket.create_server(("127.0.0.1", port))
    STRANGERS.append(stranger)


STRANGERS: list[socket.socket] = []


@pytest.fixture(autouse=True)
def no_strangers():
    yield
    while STRANGERS:
        STRANGERS.pop().close()


def few_files(machine):
    folder = machine.disk("engine", "size=20g,nr_inodes=100")
    for number in range(99):
        (folder / str(number)).touch()


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
    machine.settings(host="hub.example.org")


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


DEAD = "127.255.255.53"
FAULTS = {
    "no docker": (lambda m: m.without("docker"), "Docker", "red", "no `docker` command", "install.sh"),
    "docker is off": (engine_says("Cannot connect to the Docker daemon"), "Docker", "red", "not running", "docker"),
    "docker for root": (engine_says("permission denied: docker.sock"), "Docker", "red", "this user", "sudo mlinfn"),
    "old docker": (old_engine_info, "Docker's version", "red", "20.10.24 is too old", "install.sh"),
    "no live-restore": (lambda m: m.engine(LiveRestoreEnabled=False), "Engine restarts", "amber", "stops all labs",
                        '"live-restore"] = True'),
    "other uids": (lambda m: m.engine(SecurityOptions=["name=userns"]), "Docker's uids", "red", "userns-remap",
                   'pop("userns-remap"'),
    "rootless": (lambda m: m.engine(SecurityOptions=["name=rootless"]), "Docker's uids", "red", "ordinary user",
                 "uninstall"),
    "no compose": (lambda m: (m.answers / "compose.code").write_text("1"), "Compose", "red", "no `docker compose`",
                   "install.sh"),
    "old compose": (lambda m: (m.answers / "compose").write_text("2.3.0"), "Compose", "amber", "2.3.0 is older",
                    "--only-upgrade"),
    "no memory limit": (lambda m: m.engine(MemoryLimit=False), "Limits of labs", "red", "nobody's memory",
                        "cgroup_enable=memory"),
    "labs swap": (lambda m: (m.engine(SwapLimit=False), m.file("proc/swaps", "Filename\n/swap file 1 0 -2\n")),
                  "Limits of labs", "amber", "swap", "sudo swapoff -a"),
    "no bridge filter": (lambda m: m.engine(BridgeNfIptables=False), "Between labs", "red", "bridged", "br_netfilter"),
    "no driver": (lambda m: m.without("nvidia-smi"), DRIVER, "red", "not installed", "nvidia-driver"),
    "driver upgraded": (smi_says("Failed to initialize NVML: Driver/library version mismatch"), DRIVER, "red",
                        "the kernel still has the old", "sudo reboot"),
    "no module": (smi_says("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."), DRIVER,
                  "red", "no module", "dkms autoinstall"),
    "no toolkit": (lambda m: (m.without("nvidia-ctk"), no_names(m)), TOOLKIT, "red", "not installed",
                   "apt-get install nvidia-container-toolkit"),
    "toolkit with a hole": (lambda m: m.says("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.17.7"), TOOLKIT,
                            "red", "CVE-2025-23266", "--only-upgrade nvidia-container-toolkit"),
    "no CDI": (lambda m: m.engine(CDISpecDirs=None), "CDI", "amber", "CDI is off", '["cdi"] = True'),
    "no specification": (no_names, "GPUs by name", "red", "no specification", "nvidia-ctk cdi generate"),
    "files gone": (old_specification, "GPUs by name", "red", "/dev/nvidia99, which is gone", "nvidia-ctk cdi generate"),
    "card gone": (lambda m: m.specification(OLD_CARD, "/dev/null"), "GPUs by name", "amber", OLD_CARD, "cdi generate"),
    "lost at daemon-reload": (no_names, "GPUs that stay", "red", "systemctl daemon-reload", "nvidia-ctk cdi generate"),
    "lost through NVIDIA's runtime": (lambda m: m.settings(gpus={"driver": "nvidia"}), "GPUs that stay", "red",
                                      "systemctl daemon-reload", "driver: auto"),
    "unknown to systemd": (lambda m: (m.world / "dev/char/195:0").unlink(), "GPUs that stay", "amber", "nvidia0",
                           "create-dev-char-symlinks"),
    "no automounter": (cvmfs, "CVMFS read-only", "amber", "No automounter", "cvmfs_config setup"),
    "CVMFS not shared": (cvmfs, "CVMFS in labs", "red", "shared mount", "sudo mount --make-shared"),
    "proxy of CVMFS": (lambda m: cvmfs(m, proxy=f"http://127.0.0.1:{free_ports()};DIRECT"), "CVMFS's proxy", "amber",
                       "does not answer", "cvmfs: {proxy"),
    "no address": (lambda m: m.settings(host="hub.invalid"), "Names", "red", "hub.invalid has no", "hub.invalid. A"),
    "no subdomain": (no_subdomain, "Names", "red", "some-lab.hub.example.org has no", "*.hub.example.org. A 192.0.2.7"),
    "resolver": (resolver_is(DEAD), "Resolvers", "red", DEAD, "nameserver"),
    "one resolver": (resolver_is(DEAD, "GOOD"), "Resolvers", "amber", DEAD, "sudo sed -i"),
    "port taken": (lambda m: (m.settings(login="demo"), listen(m.edge.port + 4)), "Ports", "red",
                   f"process {os.getpid()}", f"sudo kill {os.getpid()}"),
    "IAM away": (away, "Discovery", "red", "Connection refused", "curl -v"),
    "IAM without address": (ghost, "Discovery", "red", "iam.invalid has no address", "getent hosts iam.invalid"),
    "another's IAM": (issuer_of_others, "Discovery", "red", "another issuer", "iam: issuer:"),
    "IAM's clock": (fast_clock("issuer", 300), "Clock", "red", "s ahead of the identity service", "set-ntp true"),
    "registry's clock": (fast_clock("registry", 300), "Clock", "red", "s ahead of the registry", "set-ntp true"),
    "registry": (silent_registry, "Registry", "amber", "nobody can start", "mlinfn images pull"),
    "disk full": (lambda m: m.disk("engine", "size=16m"), "Disk", "red", "0 of 0 GB", "docker system df"),
    "no more files": (few_files, "Files", "red", "nothing can be saved", "du --inodes"),
    "run full": (lambda m: (m.root / "run/much").write_bytes(bytes(62 * 2**20)), "Tokens", "red", "is full",
                 "remount,size=256m"),
    "run on disk": (lambda m: subprocess.run(["/usr/bin/umount", m.root / "run"], check=True), "Tokens", "red",
                    "not a tmpfs", "sudo mlinfn prepare"),
    "time service off": (clock_is(CanNTP="yes", NTP="no"), "Clock", "amber", "is off", "set-ntp true"),
    "no time service": (clock_is(CanNTP="no", NTP="no"), "Clock", "amber", "No time service", "chrony"),
    "no time": (clock_is(CanNTP="yes", NTP="yes"), "Clock", "amber", "no server", "restart chrony"),
    "no forwarding": (kernel_has("net.ipv4.ip_forward", 0), "Kernel", "red", "ip_forward is 0", "ip_forward=1"),
    "few watchers": (kernel_has("fs.inotify.max_user_watches", 8192), "Kernel", "amber", "8192", "sudo sysctl -p"),
    "few processes": (kernel_has("kernel.pid_max", 32768), "Kernel", "amber", "32768", "kernel.pid_max=4194304"),
    "no overcommit": (kernel_has("vm.overcommit_memory", 2), "Kernel", "amber", "CUDA", "vm.overcommit_memory=0"),
    "rules gone": (lost_rules, "Guard", "red", "The rules are missing", "docker restart mlinfntest-doctor-guard"),
    "no nft": (no_nft, "Guard", "red", "cannot be loaded", "sudo modprobe -a nf_tables"),
    "guard away": (lambda m: setattr(m.edge.guard, "status", 500), "Guard", "red", "answers 500", "mlinfn up"),
    "hub away": (lambda m: setattr(m.edge.hub, "status", 503), "Hub", "red", "answers 503", "mlinfn logs hub"),
    "open secret": (lambda m: (m.root / "secrets/hub/crypt_key").chmod(0o644), "Secrets", "red", "crypt_key",
                    "sudo mlinfn prepare"),
    "open folder": (is_open, "Rights", "red", "0755", "sudo chmod 0700"),
    "no backups": (lambda m: m.settings(backup={"targets": []}), "Backups", "amber", "There are none", "targets"),
    "backups' disk": (no_disk, "Backups' disk", "amber", "of /etc/fstab is not mounted", "sudo mount"),
    "uid of a member": (lambda m: m.file("etc/passwd", "keeper:x:70001:1000::/nonexistent:/bin/sh\n"), "Numbers",
                        "red", "keeper of /etc/passwd has 70001", "sudo usermod --uid 1000 keeper"),
    "gid of a group": (lambda m: m.file("etc/group", "cms:x:90000:\n"), "Numbers", "red", "cms of /etc/group",
                       "sudo groupmod --gid 1000 cms"),
    "subordinate uids": (lambda m: m.file("etc/subuid", "keeper:65536:65536\n"), "Numbers", "amber", "/etc/subuid",
                         "sudo usermod --del-subuids 65536-131071 --add-subuids 1000000-1065535 keeper"),
}  # fmt: skip
"""What is planted, the title and the level of what is found, what it says and what mends it."""


@pytest.mark.parametrize(("plant", "title", "level", "said", "remedy"), FAULTS.values(), ids=list(FAULTS))
def test_what_is_planted_is_found_with_what_mends_it(machine, plant, title, level, said, remedy):
    plant(machine)
    found = [each for each in machine.doctor() if each.title == title and each.level == level]
    assert [each for each in found if said in each.reason and remedy in each.remedy], found or machine.doctor()
    assert all(each.reason.endswith(".") for each in found)


def test_every_line_of_doctor_is_on_the_page(machine):
    titles = {each.title for each in machine.doctor()} | {title for _, title, *_ in FAULTS.values()}
    assert titles - set(re.findall(r"\*\*([^*]+)\*\*", PAGE)) == set()
