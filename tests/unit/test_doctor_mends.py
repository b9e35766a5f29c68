"""The commands that `mlinfn doctor` names are run, as they are, and mend what was planted; and it never takes long.

They run in a mount namespace of their own: changes of /etc land in the test's folder, and so do values of the kernel.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.places import free_ports
from support.planting import (
    DEAD,
    clock_is,
    docker_asks,
    is_open,
    kernel_has,
    no_names,
    old_specification,
    resolver_is,
)
from support.wait import until
from support.well import CARD, OLD_CARD

from jupyterhub_mlinfn.cli import engine

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
BIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MLINFN = Path(sys.executable).with_name("mlinfn")
APART = """
mount -t overlay -o "lowerdir=/etc,upperdir=$WORLD/etc,workdir=$WORLD/work" overlay /etc
find "$WORLD/proc/sys" -type f | while read -r file; do mount --bind "$file" "${file#"$WORLD"}"; done
"""
"""What the namespace begins with."""


def run(machine, command):
    """The command of a finding, as root types it."""
    (machine.world / "work").mkdir(exist_ok=True)
    environment = {"PATH": f"{machine.path}:{BIN}", "WORLD": str(machine.world), "MLINFN_CONFIG": str(machine.config)}
    done = subprocess.run(["/usr/bin/unshare", "--mount", "sh", "-ec", APART + command], env=environment, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def machine(well_machine):
    """One on which commands can be run: nobody there is asked for a password, and nothing but Docker is restarted."""
    machine = well_machine
    machine.program("sudo", '#!/bin/sh\nexec "$@"\n')
    machine.program("systemctl", "#!/bin/sh\n")
    machine.program("mlinfn", f'#!/bin/sh\nexec {MLINFN} "$@"\n')
    with subprocess.Popen(["/usr/bin/sleep", "60"]) as dockerd:
        machine.program("pidof", f"#!/bin/sh\necho {dockerd.pid}\n")
        yield machine
        dockerd.kill()


FAULTS = {
    "no specification": (no_names, "GPUs by name", "red", "no specification", "nvidia-ctk cdi generate"),
    "files gone": (old_specification, "GPUs by name", "red", "/dev/nvidia99, which is gone", "nvidia-ctk cdi generate"),
    "card gone": (lambda m: m.specification(OLD_CARD, "/dev/null"), "GPUs by name", "amber", OLD_CARD, "cdi generate"),
    "unknown to systemd": (lambda m: (m.world / "dev/char/195:0").unlink(), "GPUs that stay", "amber", "nvidia0",
                           "create-dev-char-symlinks"),
    "one resolver": (resolver_is(DEAD, "GOOD"), "Resolvers", "amber", DEAD, "sudo sed -i"),
    "run full": (lambda m: (m.root / "run/much").write_bytes(bytes(62 * 2**20)), "Tokens", "red", "is full",
                 "remount,size=256m"),
    "time service off": (clock_is(CanNTP="yes", NTP="no"), "Clock", "amber", "is off", "set-ntp true"),
    "no forwarding": (kernel_has("net.ipv4.ip_forward", 0), "Kernel", "red", "ip_forward is 0", "ip_forward=1"),
    "few watchers": (kernel_has("fs.inotify.max_user_watches", 8192), "Kernel", "amber", "8192", "sudo sysctl -p"),
    "few processes": (kernel_has("kernel.pid_max", 32768), "Kernel", "amber", "32768", "kernel.pid_max=4194304"),
    "no overcommit": (kernel_has("vm.overcommit_memory", 2), "Kernel", "amber", "CUDA", "vm.overcommit_memory=0"),
    "open folder": (is_open, "Rights", "red", "0755", "sudo chmod 0700"),
    "uid of a member": (lambda m: m.file("etc/passwd", "keeper:x:70001:1000::/nonexistent:/bin/sh\n"), "Numbers",
                        "red", "keeper of /etc/passwd has 70001", "sudo usermod --uid 1000 keeper"),
    "gid of a group": (lambda m: m.file("etc/group", "cms:x:90000:\n"), "Numbers", "red", "cms of /etc/group",
                       "sudo groupmod --gid 1000 cms"),
    "subordinate uids": (lambda m: m.file("etc/subuid", "keeper:65536:65536\n"), "Numbers", "amber", "/etc/subuid",
                         "sudo usermod --del-subuids 65536-131071 --add-subuids 1000000-1065535 keeper"),
}  # fmt: skip
"""What is planted, the title and the level of what is found, what it says and what mends it."""


@pytest.mark.parametrize(("plant", "title", "level", "said", "remedy"), FAULTS.values(), ids=list(FAULTS))
def test_the_command_mends_what_was_planted(machine, plant, title, level, said, remedy):
    plant(machine)
    machine.program("timedatectl", TIMEDATECTL.format(machine.answers))
    machine.program("nvidia-ctk", CTK.format(spec=json.dumps(machine.specified(CARD, "/dev/null"))))
    (found,) = [each for each in machine.doctor() if (each.title, each.level) == (title, level) and said in each.reason]
    assert remedy in found.remedy
    run(machine, found.remedy)
    assert [each.level for each in machine.doctor() if each.title == title] == ["green"]


TIMEDATECTL = """#!/bin/sh
case $1 in
    set-ntp) echo NTPSynchronized=yes >'{0}/timedatectl' ;;
    *) cat '{0}/timedatectl' ;;
esac
"""
CTK = """#!/bin/sh
for last; do :; done
case $* in
    *--version) echo 1.18.1 ;;
    *generate*) echo '{spec}' >"${{last#--output=}}" ;;
    *symlinks*) ln -s ../nvidia0 "$WORLD/dev/char/195:0" ;;
esac
"""


def test_prepare_mends_what_is_open_missing_or_on_a_disk(machine):
    secrets = machine.root / "secrets"
    (secrets / "hub/crypt_key").chmod(0o644)
    (secrets / "proxy/proxy_token").unlink()
    (found,) = [each for each in machine.doctor() if each.title == "Secrets"]
    assert found.level == "red"
    run(machine, found.remedy)
    assert [each.level for each in machine.doctor() if each.title in ("Secrets", "Rights")] == ["green", "green"]


@pytest.mark.parametrize(("changed", "title", "before", "after"), [
    ({"LiveRestoreEnabled": False}, "Engine restarts", {"mtu": 1400}, {"mtu": 1400, "live-restore": True}),
    ({"CDISpecDirs": None}, "CDI", {"features": {"buildkit": True}}, {"features": {"buildkit": True, "cdi": True}}),
    ({"SecurityOptions": ["name=userns"]}, "Docker's uids", {"userns-remap": "default"}, {}),
])  # fmt: skip
def test_one_thing_is_changed_in_dockers_settings(machine, changed, title, before, after):
    told = machine.world / "etc/docker/daemon.json"
    told.write_text(json.dumps(before))
    machine.engine(**changed)
    (found,) = [each for each in machine.doctor() if each.title == title]
    run(machine, found.remedy.split(" && ")[0])
    assert json.loads(told.read_text()) == after


def test_a_resolver_is_taken_out_of_dockers_settings(machine):
    docker_asks(DEAD, "GOOD")(machine)
    (found,) = [each for each in machine.doctor() if each.title == "Resolvers"]
    change, restart = found.remedy.split(" && ")
    run(machine, change)
    assert json.loads((machine.world / "etc/docker/daemon.json").read_text())["dns"] == [machine.edge.resolver.address]
    assert restart == engine.restart_command()
    assert [each.level for each in machine.doctor() if each.title == "Resolvers"] == ["green"]


def test_a_linked_list_of_resolvers_stays_a_link(machine):
    listed = machine.world / "etc/resolv.conf"
    listed.unlink()
    listed.symlink_to("resolvconf/resolv.conf")
    machine.file("etc/resolvconf/resolv.conf", f"nameserver\t{DEAD}\nnameserver {machine.edge.resolver.address}\n")
    (found,) = [each for each in machine.doctor() if each.title == "Resolvers"]
    run(machine, found.remedy)
    assert listed.is_symlink()
    assert [each.level for each in machine.doctor() if each.title == "Resolvers"] == ["green"]


def test_who_has_a_port_of_ours_is_ended(machine):
    machine.settings(login="demo")
    listen = f"import socket, time; s = socket.create_server(('127.0.0.1', {machine.edge.port + 4})); time.sleep(60)"
    stranger = subprocess.Popen([sys.executable, "-c", listen])
    try:
        found = until(lambda: reds(machine, "Ports"), 10, "somebody on our port")
        assert f"process {stranger.pid}" in found[0].reason
        run(machine, found[0].remedy.partition(", or")[0])
        assert stranger.wait(10) != 0
    finally:
        stranger.kill()
    assert reds(machine, "Ports") == []


def reds(machine, title):
    """What is wrong, of that title."""
    return [each for each in machine.doctor() if each.title == title and each.level == "red"]


def test_the_answer_comes_within_seconds_if_nobody_else_answers(machine):
    for name in ("docker", "nvidia-smi", "nvidia-ctk", "timedatectl", "getent", "ss", "test"):
        machine.program(name, "#!/bin/sh\nexec sleep 60\n")
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind((f"{machine.edge.resolver.address[:-2]}99", 53))
        machine.file("etc/resolv.conf", f"nameserver {mute.getsockname()[0]}\n")
        machine.public("hub.example.org", port=free_ports(), iam={
            "issuer": f"http://127.0.0.1:{silent.getsockname()[1]}", "allowed_groups": ["a"]})
        begun = time.monotonic()
        found = machine.doctor()
    assert time.monotonic() - begun < 5
    away = {each.title for each in found if each.level == "red"}
    assert away >= {"Docker", "Discovery", "Names", "Resolvers", "NVIDIA's driver"}
    assert [each.reason for each in found if each.title == "Backups' disk"] == [
        f"Nothing is copied to {machine.folder}/copies: it is not answering."]
