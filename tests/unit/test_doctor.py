"""`mlinfn doctor` finds what is planted at a machine's edge, and names what mends it; where nothing is, it is content.

tests/unit/test_doctor_mends.py has those for which what is named can be run.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from support.places import CHECKOUT, free_ports
from support.planting import (
    DEAD,
    away,
    clock_is,
    cvmfs,
    docker_asks,
    engine_says,
    fast_clock,
    few_files,
    ghost,
    issuer_of_others,
    lost_rules,
    no_disk,
    no_names,
    no_nft,
    no_subdomain,
    old_engine_info,
    resolved_asks,
    resolver_is,
    silent_registry,
    small_disk,
    smi_says,
    tls_port_taken,
)

from jupyterhub_mlinfn.cli import engine_findings, outside

PAGE = (CHECKOUT / "docs/how-to/when-something-is-wrong.md").read_text()
DRIVER = "NVIDIA's driver"
TOOLKIT = "NVIDIA's toolkit"
SITE = ("Disk", "Images' disk")
"""Findings about the disk of the machine that the tests run on."""


@pytest.fixture
def machine(well_machine):
    """One on which everything is well."""
    return well_machine


def test_a_machine_on_which_everything_is_well_is_green(machine):
    found = [each for each in machine.doctor() if each.title not in SITE]
    assert [each for each in found if each.level != "green" or each.remedy] == []


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
    "no card answers": (smi_says("Unable to determine the device handle for GPU0000:01:00.0: Unknown Error"), DRIVER,
                        "red", "Unable to determine", "dmesg"),
    "no module": (smi_says("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."), DRIVER,
                  "red", "no module", "dkms autoinstall"),
    "no toolkit": (lambda m: (m.without("nvidia-ctk"), no_names(m)), TOOLKIT, "red", "not installed",
                   "apt-get install nvidia-container-toolkit"),
    "toolkit gone": (lambda m: m.without("nvidia-ctk"), TOOLKIT, "amber", "cannot be renewed",
                     "apt-get install nvidia-container-toolkit"),
    "toolkit with a hole": (lambda m: m.says("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.17.7"), TOOLKIT,
                            "red", "CVE-2025-23266", "--only-upgrade nvidia-container-toolkit"),
    "no CDI": (lambda m: m.engine(CDISpecDirs=None), "CDI", "amber", "CDI is off", '["cdi"] = True'),
    "lost at daemon-reload": (no_names, "GPUs that stay", "red", "systemctl daemon-reload", "nvidia-ctk cdi generate"),
    "lost through NVIDIA's runtime": (lambda m: m.settings(gpus={"driver": "nvidia"}), "GPUs that stay", "red",
                                      "systemctl daemon-reload", "driver: auto"),
    "no automounter": (cvmfs, "CVMFS read-only", "amber", "No automounter", "cvmfs_config setup"),
    "CVMFS not shared": (cvmfs, "CVMFS in labs", "red", "shared mount", "sudo mount --make-shared"),
    "proxy of CVMFS": (lambda m: cvmfs(m, proxy=f"http://127.0.0.1:{free_ports()};DIRECT"), "CVMFS's proxy", "amber",
                       "does not answer", "cvmfs: {proxy"),
    "no address": (lambda m: m.public("hub.invalid"), "Names", "red", "hub.invalid has no", "hub.invalid. A"),
    "no subdomain": (no_subdomain, "Names", "red", "some-lab.hub.example.org has no", "*.hub.example.org. A 192.0.2.7"),
    "resolver": (resolver_is(DEAD), "Resolvers", "red", DEAD, "tee -a /etc/resolv.conf"),
    "no resolver": (resolver_is(), "Resolvers", "amber", "None is in /etc/resolv.conf", "tee -a /etc/resolv.conf"),
    "Docker's resolver": (docker_asks(DEAD), "Resolvers", "red", DEAD, 'd.pop("dns")'),
    "systemd's resolver": (resolved_asks(DEAD), "Resolvers", "red", DEAD, "restart systemd-resolved; if"),
    "one of systemd's": (resolved_asks(DEAD, "GOOD"), "Resolvers", "amber", DEAD, "resolvectl dns"),
    "port taken": (lambda m: (m.settings(login="demo"), m.listen(m.edge.port + 4)), "Ports", "red",
                   f"process {os.getpid()}", f"sudo kill {os.getpid()}"),
    "TLS port taken": (tls_port_taken, "Ports", "red", f"process {os.getpid()}", f"sudo kill {os.getpid()}"),
    "IAM away": (away, "Discovery", "red", "Connection refused", "curl -v"),
    "IAM without address": (ghost, "Discovery", "red", "iam.invalid has no address", "getent hosts iam.invalid"),
    "another's IAM": (issuer_of_others, "Discovery", "red", "another issuer", "iam: issuer:"),
    "IAM's clock": (fast_clock("issuer", 300), "Clock", "red", "s ahead of the identity service", "set-ntp true"),
    "registry's clock": (fast_clock("registry", 300), "Clock", "red", "s ahead of the registry", "set-ntp true"),
    "registry": (silent_registry, "Registry", "amber", "nobody can start", "mlinfn images pull"),
    "disk full": (lambda m: m.disk("engine", "size=16m"), "Disk", "red", "0 of 0 GB", "docker system df"),
    "disk read-only": (lambda m: m.disk("engine", "ro"), "Disk", "red", "is read-only", "mount -o remount,rw"),
    "images beside data": (small_disk, "Images' disk", "amber", "has 30 GB left", "data-root"),
    "no more files": (few_files, "Files", "red", "nothing can be saved", "du --inodes"),
    "run on disk": (lambda m: subprocess.run(["/usr/bin/umount", m.root / "run"], check=True), "Tokens", "red",
                    "not a tmpfs", "sudo mlinfn prepare"),
    "no time service": (clock_is(CanNTP="no", NTP="no"), "Clock", "amber", "No time service", "chrony"),
    "no time": (clock_is(CanNTP="yes", NTP="yes"), "Clock", "amber", "no server", "restart chrony"),
    "rules gone": (lost_rules, "Guard", "red", "The rules are missing", "docker restart mlinfntest-doctor-guard"),
    "no nft": (no_nft, "Guard", "red", "cannot be loaded", "sudo modprobe -a nf_tables"),
    "guard away": (lambda m: setattr(m.edge.guard, "status", 500), "Guard", "red", "answers 500", "mlinfn up"),
    "hub away": (lambda m: setattr(m.edge.hub, "status", 503), "Hub", "red", "answers 503", "mlinfn logs hub"),
    "open secret": (lambda m: (m.root / "secrets/hub/crypt_key").chmod(0o644), "Secrets", "red", "crypt_key",
                    "sudo mlinfn prepare"),
    "no certificate": (lambda m: m.settings(tls={"mode": "self-signed", "port": free_ports()}), "Certificate", "red",
                       "Nothing answers by TLS", "mlinfn up"),
    "no backups": (lambda m: m.settings(backup={"targets": []}), "Backups", "amber", "There are none", "targets"),
    "backups' disk": (no_disk, "Backups' disk", "amber", "of /etc/fstab is not mounted", "sudo mount"),
}  # fmt: skip
"""What is planted, the title and the level of what is found, what it says and what mends it."""


@pytest.mark.parametrize(("plant", "title", "level", "said", "remedy"), FAULTS.values(), ids=list(FAULTS))
def test_what_is_planted_is_found_with_what_mends_it(machine, plant, title, level, said, remedy):
    plant(machine)
    found = [each for each in machine.doctor() if each.title == title and each.level == level]
    assert [each for each in found if said in each.reason and remedy in each.remedy], found or machine.doctor()
    assert all(each.reason.endswith(".") for each in found)


def test_each_of_two_people_gets_a_number_of_their_own(machine):
    machine.file("etc/passwd", "anna:x:70001:1000::/nonexistent:/bin/sh\nboris:x:70002:1000::/nonexistent:/bin/sh\n")
    remedies = [each.remedy for each in machine.doctor() if each.title == "Numbers"]
    assert remedies == ["sudo usermod --uid 1000 anna", "sudo usermod --uid 1001 boris"]


@pytest.mark.parametrize(("system", "plant", "title", "command"), [
    ("debian", lambda m: m.without("nvidia-smi"), DRIVER, "apt-get install linux-headers-$(uname -r) nvidia-driver"),
    ("ubuntu", lambda m: m.without("nvidia-smi"), DRIVER, "ubuntu-drivers install"),
    ("debian", lambda m: m.without("nvidia-ctk"), TOOLKIT, "apt-get install nvidia-container-toolkit"),
])  # fmt: skip
def test_who_has_no_archive_with_it_is_told_which_page_says_where_it_is(machine, system, plant, title, command):
    machine.file("etc/os-release", f"ID={system}\n")
    plant(machine)
    (found,) = [each for each in machine.doctor() if each.title == title]
    assert found.remedy.startswith(f"sudo {command}")
    path, heading = re.search(r"(docs/\S+\.md)#(\S+)$", found.remedy).groups()
    headings = re.findall(r"^## (.+)$", (CHECKOUT / path).read_text(), re.MULTILINE)
    assert heading in {each.lower().replace(" ", "-") for each in headings}


def test_programs_of_a_driver_without_a_card_are_no_fault(machine):
    machine.file("sys/bus/pci/devices/0000:01:00.0/vendor", "0x1234\n")
    machine.says("nvidia-smi", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", code=9)
    assert DRIVER not in {each.title for each in machine.doctor()}


def test_the_oldest_engine_is_the_one_that_install_takes():
    script = (CHECKOUT / "install.d/engine.sh").read_text()
    assert re.search(r"^ENGINE_LEAST=(\d+)", script, re.MULTILINE)[1] == str(engine_findings.ENGINE_LEAST[0])


@pytest.mark.parametrize(("image", "host"), [
    ("registry.example.org/a/lab:1", "registry.example.org"), ("localhost:5000/lab", "localhost:5000"),
    ("a/lab", "index.example.org"), ("lab", "index.example.org"),
])  # fmt: skip
def test_the_registry_of_an_image_is_named_or_the_engines_own(image, host):
    assert outside.registry_of(image, {"IndexServerAddress": "https://index.example.org/v1/"}) == host


def test_every_line_of_doctor_is_on_the_page(machine):
    titles = {each.title for each in machine.doctor()} | {title for _, title, *_ in FAULTS.values()}
    assert titles - set(re.findall(r"\*\*([^*]+)\*\*", PAGE)) == set()
