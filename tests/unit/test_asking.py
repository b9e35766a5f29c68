"""Questions that take too long, and those that go wrong."""

import subprocess
import sys
import threading

import pytest

from jupyterhub_mlinfn.cli.asking import within

HANGS = ("import threading; from jupyterhub_mlinfn.cli.asking import within; "
         "print(within(0.1, threading.Event().wait))")


def test_an_answer_comes_at_once():
    assert within(60, lambda: "yes") == "yes"


def test_who_hangs_is_not_waited_for():
    hangs = threading.Event()
    assert within(0.1, hangs.wait) is None
    hangs.set()


def test_who_hangs_keeps_nobody_from_ending():
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")


def test_what_goes_wrong_is_told_to_who_asked(capfd):
    with pytest.raises(ZeroDivisionError):
        within(0.1, lambda: 1 / 0)
    assert capfd.readouterr().err == ""
