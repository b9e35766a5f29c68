"""What a lab may not take and may not do: memory, processes, log, powers; tried from inside one, on the real stack."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

MEMORY = 512 * 2**20


def test_more_memory_than_picked_is_refused_by_killing_and_the_lab_lives(stack, cell):
    host = stack.lab_of("anna").attrs["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == MEMORY
    take = "taken = bytearray(2 * 2**30); taken[::4096] = bytes(len(taken[::4096]))"
    assert cell(f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {take!r}]).returncode)") == "-9\n"


def test_shared_memory_counts_as_memory(cell):
    fill = "dd if=/dev/zero of=/dev/shm/filled bs=1M count=600"
    code = f"import os, subprocess; print(subprocess.run({fill.split()!r}, stderr=subprocess.DEVNULL).returncode)\n"
    assert cell(code + "os.unlink('/dev/shm/filled')") != "0\n"


FORKS = """
import os, signal
children = []
try:
    while len(children) < 5000:
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
print(len(children))
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_a_fork_bomb_ends_at_the_limit_and_others_go_on(stack, cell, boris):
    words = f"[sys.executable, '-c', {FORKS!r}]"
    made = int(cell(f"import subprocess, sys\nprint(subprocess.run({words}, capture_output=True, text=True).stdout)"))
    assert 50 < made < stack.settings["limits"]["processes"]
    assert boris.run("print('here')") == "here\n"


def test_a_gigabyte_of_log_takes_two_files_of_the_allowed_size(stack, cell):
    gigabyte = "line = b'x' * 1023 + b'\\n'\nwith open('/proc/1/fd/1', 'wb') as log:\n"
    cell(f"{gigabyte}    for _ in range(1024): log.write(line * 1024)", timeout_s=240)
    path = Path(stack.lab_of("anna").attrs["LogPath"])
    sizes = [each.stat().st_size for each in path.parent.glob(path.name + "*")]
    assert sizes
    assert sum(sizes) < 2 * 2**20 + 64 * 1024  # limits.log_size, and a line more each


def test_the_root_folder_and_other_homes_are_not_there(stack, cell, boris):
    assert (stack.root / "users/boris").is_dir()
    code = f"import os; print(os.path.exists({str(stack.root)!r}), 'boris' in os.listdir('/home'))"
    assert cell(code) == "False False\n"


def test_a_home_is_closed_to_other_members_on_the_host_as_well(stack, anna, boris):
    first, second = ((stack.root / "users" / name).stat() for name in ("anna", "boris"))
    assert first.st_uid != second.st_uid
    assert {first.st_mode & 0o777, second.st_mode & 0o777} == {0o700}


def test_processes_of_others_are_not_seen(cell, boris):
    assert "ipykernel" in boris.run("print(open('/proc/self/cmdline').read())")
    look = (
        "import glob, os\nprint(sorted({os.stat(p).st_uid for p in glob.glob('/proc/[0-9]*')} - {os.getuid()}))\n"
        "print(any('boris' in open(p + '/cmdline').read() for p in glob.glob('/proc/[0-9]*')))"
    )
    assert cell(look) == "[]\nFalse\n"


def test_no_capability_none_to_gain_and_system_calls_filtered(cell):
    lines = cell("print(open('/proc/self/status').read())").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    sets = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert set(sets.values()) == {0}, sets
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["Uid"].split()[0]) >= 70000


FORBIDDEN = {
    "become root": "os.setuid(0)",
    "take another group": "os.setgroups([0])",
    "make a device": "os.mknod('/tmp/disk', 0o600 | stat.S_IFBLK, os.makedev(8, 0))",
    "send raw packets": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "read frames": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)",
    "change kernel settings": "open('/proc/sys/kernel/hostname', 'w')",
    "reboot by sysrq": "open('/proc/sysrq-trigger', 'w')",
    "leave the root": "os.chroot('/tmp')",
    "become another user's owner of files": "os.chown(os.environ['HOME'], 0, 0)",
}


@pytest.mark.parametrize("act", FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_lab_may_not(cell, act):
    code = f"import os, socket, stat\ntry:\n    {act}\nexcept OSError:\n    print('refused')\nelse:\n    print('done')"
    assert cell(code) == "refused\n"


@pytest.mark.parametrize("flags", ["--user --map-root-user", "--mount", "--net", "--pid --fork"])
def test_a_lab_may_not_make_namespaces(cell, flags):
    words = ["unshare", *flags.split(), "true"]
    code = f"import subprocess; print(subprocess.run({words!r}, capture_output=True, text=True).stderr)"
    assert "Operation not permitted" in cell(code)


def test_a_setuid_program_gives_nothing(stack, anna):
    """One that somebody with root on the host left in the home: a copy of `id`, owned by root, mode 4755."""
    planted = stack.root / "users/anna/id"
    shutil.copy("/usr/bin/id", planted)
    planted.chmod(0o4755)
    assert planted.stat().st_uid == 0
    said = anna.run("import subprocess; print(subprocess.run(['/home/anna/id', '-u'], capture_output=True).stdout)")
    planted.unlink()
    assert "b'0\\n'" not in said
    assert re.search(r"b'7\d{4}\\n'", said)


def test_labs_die_before_the_hub_when_the_host_runs_out_of_memory(stack, anna):
    def score(container) -> int:
        return int(Path(f"/proc/{container.attrs['State']['Pid']}/oom_score_adj").read_text())

    assert score(stack.lab_of("anna")) > score(stack.service("hub"))
    assert score(stack.lab_of("anna")) > score(stack.service("proxy"))
