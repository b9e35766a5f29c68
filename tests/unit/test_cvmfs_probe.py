"""The prober beside real FUSE file systems that answer, die, freeze and come back. Needs root and /dev/fuse."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from support.process import Program
from support.software import probing
from support.wait import until

from jupyterhub_mlinfn import cvmfs
from jupyterhub_mlinfn.cvmfs import report

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part


@pytest.fixture
def two(software):
    """Two repositories that are mounted."""
    software.share()
    for name in ("sft.example.org", "cms.example.org"):
        software.repository(name).mount()
    return software


@pytest.fixture
def told(two, free_port):
    """Call it for what the prober says of a repository; with a state, once it says that."""
    with probing(two, free_port):

        def state(name, wanted=""):
            def now():
                body = requests.get(f"http://127.0.0.1:{free_port}/", timeout=1).content
                return cvmfs.parsed(body)[name].state

            until(lambda: now() == wanted or not wanted, 10, f"{name} to be {wanted}")
            return now()

        yield state


def test_what_is_mounted_and_answers_is_well(told):
    assert told("sft.example.org", report.OK) == told("cms.example.org", report.OK)


def test_prometheus_is_told_which_answer_and_when_they_last_did(two, told, free_port):
    def values() -> dict:
        text = requests.get(f"http://127.0.0.1:{free_port}/metrics", timeout=1).text
        return {(each.name.removeprefix("mlinfn_cvmfs_"), each.labels.get("repository")): each.value
                for family in text_string_to_metric_families(text) for each in family.samples}  # fmt: skip

    for name in ("sft.example.org", "cms.example.org"):
        told(name, report.OK)
    assert values()["up", "sft.example.org"] == 1
    two.repositories[0].freeze()
    told("sft.example.org", report.STUCK)
    found = values()
    assert (found["up", "sft.example.org"], found["up", "cms.example.org"]) == (0, 1)
    assert found["last_answer_timestamp_seconds", "sft.example.org"] <= time.time()


def test_one_that_hangs_is_named_and_the_other_goes_on(two, told):
    told("sft.example.org", report.OK)
    two.repositories[0].freeze()
    told("sft.example.org", report.STUCK)
    assert told("cms.example.org", report.OK) == report.OK
    two.repositories[0].thaw()
    told("sft.example.org", report.OK)


def test_one_whose_client_died_is_told_from_one_that_is_not_mounted(two, told):
    told("sft.example.org", report.OK)
    two.repositories[0].kill()
    told("sft.example.org", report.BROKEN)
    two.repositories[0].unmount()
    told("sft.example.org", report.MISSING)
    two.repositories[0].mount()
    told("sft.example.org", report.OK)


def test_one_without_a_folder_is_not_mounted(two, free_port):
    two.repository("new.example.org")
    with probing(two, free_port) as prober:
        last = prober.repositories[-1]
        until(lambda: last.known.state == report.MISSING, 5, "the missing one to be named")


def test_service_answers_and_ends_at_once(free_port, tmp_path):
    """As a process, with its own patience; no machine has these repositories in /cvmfs."""
    names = {"MLINFN_CVMFS_PORT": str(free_port), "MLINFN_CVMFS_REPOSITORIES": "sft.example.org,cms.example.org"}
    service = Program([sys.executable, "-m", "jupyterhub_mlinfn.cvmfs.probe"], tmp_path / "log", names)
    service.start()
    url = f"http://127.0.0.1:{free_port}"
    try:
        until(lambda: b"missing" in _body(url), 20, "the service to answer")
        assert requests.get(f"{url}/health", timeout=1).text == "ok\n"
        assert requests.get(f"{url}/cvmfs", timeout=1).status_code == 404
    finally:
        began = time.monotonic()
        service.stop()
    assert time.monotonic() - began < 2
    assert service.wait(0) == 0, service.text()


def _body(url):
    try:
        return requests.get(f"{url}/", timeout=1).content
    except requests.ConnectionError:
        return b""


@pytest.mark.parametrize("body", [b"", b"[]", b'{"repositories": 1}', b'{"repositories": {"a": {}}}', b"{}"])
def test_something_else_on_the_port_is_no_report(body):
    with pytest.raises(cvmfs.Unreadable):
        cvmfs.parsed(body)


def test_a_folder_is_shared_once_and_at_boot(software):
    fstab = software.base / "fstab"
    fstab.write_text("# a comment")
    software.share()
    software.share()
    assert fstab.read_text() == f"# a comment\n{software.folder} {software.folder} none bind,shared 0 0\n"
    assert cvmfs.carrier(cvmfs.read(), str(software.folder)).is_shared
    assert [each.path for each in cvmfs.read()].count(str(software.folder)) == 1


def test_the_line_for_the_boot_makes_it_shared(software):
    software.share()
    subprocess.run(["umount", str(software.folder)], check=True)
    assert not cvmfs.carrier(cvmfs.read(), str(software.folder)).is_shared
    subprocess.run(["mount", "--fstab", str(software.base / "fstab"), str(software.folder)], check=True)
    assert cvmfs.carrier(cvmfs.read(), str(software.folder)).is_shared


def test_a_real_mount_is_seen_as_what_it_is(two):
    seen = cvmfs.below(cvmfs.read(), str(two.folder))
    assert {name: (each.kind, each.read_only) for name, each in seen.items()} == {
        "sft.example.org": ("fuse", True), "cms.example.org": ("fuse", True)}  # fmt: skip
    assert os.listdir(two.folder / "sft.example.org") == ["here"]
