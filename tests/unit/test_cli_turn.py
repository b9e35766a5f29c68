"""Two commands at once, and Ctrl-C: with real processes and signals."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.wait import until

from jupyterhub_mlinfn import passwords

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
MLINFN = Path(sys.executable).with_name("mlinfn")
HOLDER = "import pathlib, sys; from jupyterhub_mlinfn.cli import turn\nwith turn.taken(pathlib.Path(sys.argv[1]), " \
         "'mlinfn up'):\n    print('in', flush=True)\n    sys.stdin.read()"  # fmt: skip
CUT = """
import subprocess, sys
from jupyterhub_mlinfn.cli import interrupt
with interrupt.told("It was interrupted."), interrupt.{way}():
    print("in", flush=True)
    subprocess.run(["head", "-n1"], start_new_session=True)
    print("out", flush=True)
print("after", flush=True)
"""


@pytest.fixture
def site(tmp_path):
    """A settings file whose root has a place for people."""
    (tmp_path / "root/hub").mkdir(parents=True)
    (tmp_path / "mlinfn.yaml").write_text(f"instance: mlinfntest-turn\nroot: {tmp_path}/root\n"
                                          "images: [{slug: lab, title: JupyterLab, image: mlinfn/lab}]\n")  # fmt: skip
    return tmp_path


def command(site, *words):
    return [MLINFN, "--config", site / "mlinfn.yaml", *words]


def python(code, *words):
    """A process that has said `in`."""
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout.readline() == "in\n", process.communicate()
    return process


def test_who_has_the_turn_is_named_and_a_dead_one_has_it_no_more(site):
    holder = python(HOLDER, site / "root")
    refused = subprocess.run(command(site, "users", "add", "anna"), capture_output=True, text=True, timeout=60)
    holder.kill()
    holder.communicate()
    assert refused.returncode == 1
    who = rf"`mlinfn up` \(process {holder.pid}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\) changes what is in "
    assert re.match(f"{who}{site}/root at this moment", refused.stderr), refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert subprocess.run(command(site, "users", "add", "anna"), capture_output=True, timeout=60).returncode == 0


def test_quick_ones_go_one_after_the_other_and_looking_waits_for_nobody(site):
    both = [subprocess.Popen(command(site, "users", "add", name), stdout=subprocess.PIPE) for name in ("anna", "bob")]
    assert [each.wait(60) for each in both] == [0, 0]
    for each in both:
        each.stdout.close()
    assert set(passwords.read(site / "root/hub/passwords.json")) == {"anna", "bob"}
    holder = python(HOLDER, site / "root")
    listed = subprocess.run(command(site, "users", "list"), capture_output=True, text=True, timeout=60)
    holder.communicate()
    assert "anna" in listed.stdout


def test_what_must_not_be_cut_in_two_ends_first():
    process = python(CUT.format(way="held"))
    process.send_signal(signal.SIGINT)
    assert "Ctrl-C again cuts it off" in process.stderr.readline()
    said, complaint = process.communicate("go on\n", timeout=30)
    assert said.endswith("out\n")
    assert complaint.rstrip().endswith("OperatorError: It was interrupted.")


def test_a_second_time_it_is_cut_off():
    process = python(CUT.format(way="held"))
    process.send_signal(signal.SIGINT)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 1
    assert "out" not in process.communicate()[0]


def test_what_takes_no_time_hears_nothing():
    process = python(CUT.format(way="deaf"))
    process.send_signal(signal.SIGINT)
    assert process.communicate("go on\n", timeout=30) == ("go on\nout\nafter\n", "")


def reads(process):
    """True if it waits for its standard input."""
    return Path(f"/proc/{process.pid}/syscall").read_text().split()[1:2] == ["0x0"]


def test_ctrl_c_at_a_question_is_one_sentence(site):
    process = subprocess.Popen(command(site, "iam", "client", "x", "--stdin"), stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
    held = site / ".root.lock"
    until(lambda: reads(process), 30, "the question")
    assert held.read_text()
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert (process.returncode, said) == (1, "Interrupted. What was done so far stays; the rest was not begun.\n")
    assert held.read_text() == ""
