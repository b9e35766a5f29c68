"""The search for secrets in all logs of a test run finds them, and fails the run."""

from __future__ import annotations

import subprocess
import sys
import time

import jwt
import pytest
from support import secrecy
from support.places import CHECKOUT
from support.process import Program

SECRET = "a-secret-that-was-handed-out"  # of no service, so that this run does not fail
TOKEN = jwt.encode({"sub": "somebody"}, "k" * 32)
TESTS = """
import sys
from support import secrecy
from support.process import Program

def test_whose_program_says_too_much(tmp_path):
    program = Program([sys.executable, "-c", "print('?code=" + {secret!r} + "&more')"], tmp_path / "program.log")
    program.start()
    program.wait(20)

def test_that_learns_the_secret_afterwards():
    secrecy.run.keep({secret!r})
"""


def test_run_with_a_secret_in_a_log_fails(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS.format(secret=SECRET))
    argv = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", "-p", "support.secrecy",
            f"--basetemp={tmp_path / 'tmp'}", "test_it.py"]  # fmt: skip
    environment = {"PYTHONPATH": f"{CHECKOUT}/tests", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 passed, 1 error" in done.stdout
    assert "program.log: code=a-se..." in done.stdout
    assert SECRET not in done.stdout


@pytest.mark.parametrize(
    "said",
    [SECRET, f"?token={SECRET}&x", f"{SECRET[:15]}...", TOKEN, TOKEN.split(".")[1], TOKEN.split(".")[2], f"x{TOKEN}"],
)
def test_secret_is_found_wherever_it_stands(tmp_path, said):
    search = secrecy.Search()
    search.keep(SECRET)
    search.keep_from(lambda: {TOKEN})
    (log := tmp_path / "program.log").write_bytes(b"\x00 a line\nbefore " + said.encode() + b" after\n")
    (tmp_path / "fine.log").write_text("all is well\n" * 100)
    search.watch(tmp_path)
    search.read("a container", f"said {said}".encode())
    assert [place.split(": ")[0] for place in search.found()] == ["a container", str(log)]


def test_secrets_of_a_folder_are_those_that_fill_a_file(tmp_path):
    (tmp_path / "hub").mkdir()
    contents = {"token": f"{SECRET}\n", "client_id": "mlinfn\n", "people.json": f'{{"hash": "{SECRET}"}}'}
    for name, content in contents.items():
        (tmp_path / "hub" / name).write_text(content)
    assert secrecy.in_folder(tmp_path) == {SECRET}


def test_large_log_is_searched_quickly(tmp_path):
    search, log = secrecy.Search(), tmp_path / "large.log"
    log.write_text("".join(f"[I 12:00:00] 200 GET /hub/api/users/user-{n}/server (10.0.0.1) {n / 7:.2f}ms\n"
                           for n in range(200_000)))  # fmt: skip
    search.keep_from(lambda: {jwt.encode({"n": n}, "k" * 32) for n in range(2_000)})
    search.watch(log)
    began = time.process_time()
    assert search.found() == []
    assert time.process_time() - began < 10


def test_programs_are_watched(tmp_path):
    program = Program([sys.executable, "-c", "pass"], tmp_path / "program.log")
    program.start()
    assert program.wait(20) == 0
    assert program.log in secrecy.run._watched
