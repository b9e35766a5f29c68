"""Running labs beside repositories that come, die, freeze and come back. FUSE servers stand where CVMFS would."""

from __future__ import annotations

import subprocess
import time

import pytest
from bs4 import BeautifulSoup
from support.software import probing
from support.wait import until

pytestmark = pytest.mark.docker

SFT, CMS = "sft.example.org", "cms.example.org"


@pytest.fixture
def software(software):
    """The same with two repositories that are not mounted yet."""
    software.share()
    for name in (SFT, CMS):
        software.repository(name)
    return software


def read(lab, name: str) -> str:
    """What the lab reads in a repository, or why it cannot."""
    return lab.exec_run(["cat", f"/cvmfs/{name}/here"]).output.decode()


def test_running_lab_sees_what_is_mounted_killed_and_mounted_again(mini_site, software):
    site, sft = mini_site(cvmfs=software.settings()), software.repositories[0]
    site.add_user("anna")
    site.api.start("anna")
    lab = site.lab_of("anna")
    assert "No such file" in read(lab, SFT)
    sft.mount()
    assert read(lab, SFT) == SFT
    assert "Read-only file system" in lab.exec_run(["touch", f"/cvmfs/{SFT}/mine"]).output.decode()
    assert lab.exec_run(["touch", "/cvmfs/mine"]).exit_code != 0
    sft.kill()
    assert "not connected" in read(lab, SFT)
    sft.unmount()
    sft.mount()
    assert read(lab, SFT) == SFT
    assert site.lab_of("anna").id == lab.id


def test_frozen_repository_delays_no_start_and_no_stop(mini_site, software, record_property):
    site = mini_site(cvmfs=software.settings())
    for each in software.repositories:
        each.mount()
    for name in ("anna", "bob"):
        site.add_user(name)
    site.api.start("bob")
    site.api.stop("bob")  # the first start of a hub is slower
    usual = start_and_stop(site, "bob")
    site.api.start("anna")
    lab = site.lab_of("anna")
    assert read(lab, SFT) == SFT
    holds = lab.exec_run(["sh", "-c", f"exec 3</cvmfs/{SFT}/here; echo held; exec sleep 600"], stream=True).output
    assert next(holds) == b"held\n"
    software.repositories[0].freeze()
    hanging = subprocess.Popen(["docker", "exec", lab.id, "cat", f"/cvmfs/{SFT}/here"])
    frozen = start_and_stop(site, "bob")
    assert hanging.poll() is None, "nothing hung, so this showed nothing"
    began = time.monotonic()
    site.api.stop("anna")
    stop_s = time.monotonic() - began
    assert hanging.wait(10) != 0
    record_property("start_stop_usual_s", usual)
    record_property("start_stop_frozen_s", (*frozen, stop_s))
    assert frozen[0] < usual[0] + 1
    assert max(frozen[1], stop_s) < usual[1] + 1


def start_and_stop(site, name: str) -> tuple[float, float]:
    """Seconds that a person's lab takes to start, and to stop."""
    began = time.monotonic()
    site.api.start(name)
    started = time.monotonic()
    site.api.stop(name)
    return started - began, time.monotonic() - started


def form(visitor) -> tuple[list[str], list[str]]:
    """What the form says is wrong: for all, and on the card of the image that needs a repository."""
    page = BeautifulSoup(visitor.get("/hub/spawn").text, "html.parser")
    card = page.find(id="profile=needy").find_parent(class_="picker-card")
    said = page.find_all(class_="picker-trouble")
    return ([each.text for each in said if each.find_parent(class_="picker") is None],
            [each.text for each in said if each.find_parent(class_="picker-card") is card])  # fmt: skip


def needy(image: str, **more) -> list[dict]:
    """Two images, one of which needs a repository."""
    return [{"slug": "mini", "title": "Mini", "image": image},
            {"slug": "needy", "title": "Needy", "image": image, "cvmfs": [SFT], **more}]  # fmt: skip


def test_form_names_the_repository_that_hangs(mini_site, mini_image, software):
    site = mini_site(cvmfs=software.settings(), images=needy(mini_image))
    for each in software.repositories:
        each.mount()
    anna = site.logged_in("anna")
    assert form(anna) == ([], []), "without a prober nothing is known"
    with probing(software, site.port + 6):
        software.repositories[0].freeze()
        until(lambda: form(anna)[1] == [f"It needs CVMFS, and {SFT} does not answer."], 20, "the card to name it")
        [said] = form(anna)[0]
        assert said == f"CVMFS: {SFT} does not answer. What reads there hangs or fails; labs start and stop as ever."
        software.repositories[0].thaw()
        until(lambda: form(anna) == ([], []), 20, "the form to be quiet again")


@pytest.mark.parametrize("is_there", [True, False], ids=["a folder that is not shared", "no folder"])
def test_lab_starts_without_cvmfs_where_it_cannot_be_given(mini_site, mini_image, mlinfn, tmp_path, is_there):
    folder = tmp_path / "private"
    if is_there:
        folder.mkdir()
    settings = {"repositories": [SFT], "folder": str(folder)}
    site = mini_site(cvmfs=settings, images=needy(mini_image))
    visitor = site.logged_in("anna")
    for _ in range(2):
        site.api.start("anna")
        assert site.lab_of("anna").exec_run(["ls", "/cvmfs"]).exit_code != 0
        site.api.stop("anna")
    assert site.hub.text().count("Labs start without /cvmfs") == 1
    everybody, card = form(visitor)
    assert everybody == ["Labs have no /cvmfs at the moment, because of how this machine is set up. Tell the keeper."]
    assert card == [f"It needs {SFT} from CVMFS, which labs do not have at the moment."]


def test_without_repositories_labs_have_no_cvmfs(mini_site):
    site = mini_site()
    site.add_user("anna")
    site.api.start("anna")
    assert site.lab_of("anna").exec_run(["ls", "/cvmfs"]).exit_code != 0


SETUP = "export PATH=/cvmfs/sft.example.org/views/LCG_1/x86/bin:$PATH VIEW=LCG_1\n"
PYTHON = '#!/bin/sh\nexport STARTED_BY="$0"\nexec /usr/bin/python3 "$@"\n'


def test_kernel_of_a_view_is_the_first_one_in_our_lab(mlinfn, lab_image, software):
    software.repositories[0].mount(**{"views/LCG_1/x86/setup.sh": SETUP, "views/LCG_1/x86/bin/python3": PYTHON})
    view = {"cvmfs": [SFT], "view": f"/cvmfs/{SFT}/views/LCG_1/x86"}
    image = {"slug": "lcg", "title": "LCG", "image": lab_image, **view}
    site = mlinfn.start(images=[image], cvmfs=software.settings())
    site.add_user("anna")
    lab = site.api.start("anna")
    specs = lab.request("GET", "api/kernelspecs").json()
    assert specs["default"] == "cvmfs-view"
    assert specs["kernelspecs"]["cvmfs-view"]["spec"]["display_name"] == "LCG_1 (CVMFS)"
    said = lab.run("import os; print(os.environ['VIEW'], os.environ['STARTED_BY'])", kernel="cvmfs-view")
    assert said == f"LCG_1 /cvmfs/{SFT}/views/LCG_1/x86/bin/python3\n"
    assert lab.run("print(1 + 1)") == "2\n"
