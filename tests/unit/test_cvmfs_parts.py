"""CVMFS without mounts: settings, the kernel's table, words, what `mlinfn` decides and finds."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from dataclasses import replace

import pytest

from jupyterhub_mlinfn import cvmfs
from jupyterhub_mlinfn.cli import compose, cvmfs_service, env_file, ground
from jupyterhub_mlinfn.cli.cvmfs_service import Seen, answers, flags, shared
from jupyterhub_mlinfn.cli.site import Site
from jupyterhub_mlinfn.cvmfs import Mounted, State
from jupyterhub_mlinfn.cvmfs.view import specification
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import CVMFS, Settings, load
from jupyterhub_mlinfn.volumes import software as mounts_of

SFT, CMS = "sft.cern.ch", "cms.cern.ch"
VIEW = f"/cvmfs/{SFT}/lcg/views/LCG_106/x86_64-el9-gcc13-opt"
SITE = Settings(cvmfs={"repositories": [SFT, CMS]})
ROOT = Mounted("/", "ext4", False, True)
TABLE = """22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:30 / /cvmfs rw,relatime shared:5 - autofs /etc/auto.cvmfs rw,fd=7
41 40 0:31 / /cvmfs/sft.cern.ch ro,nosuid,nodev shared:6 - fuse cvmfs2 ro,user_id=0,allow_other
42 40 0:32 / /cvmfs/cms.cern.ch rw,nosuid - fuse cvmfs2 rw,user_id=0
43 22 0:33 / /with\\040space rw master:9 - ext4 /dev/sdb rw
44 22 0:34 / /old rw - ext4 /dev/sdc rw
45 22 0:35 / /old rw shared:7 - ext4 /dev/sdd rw
"""


@pytest.fixture
def refused(tmp_path):
    """What is said about a section `cvmfs` and the keys of an image that do not go together."""

    def said(section, image):
        path = tmp_path / "mlinfn.yaml"
        path.write_text(f"cvmfs: {{{section}}}\nimages:\n  - {{slug: lab, title: Lab, image: mlinfn/lab, {image}}}\n")
        with pytest.raises(OperatorError) as error:
            load(path)
        return str(error.value).removeprefix(f"The settings have 1 mistake:\n{path}:")

    return said


@pytest.mark.parametrize(("section", "image", "words"), [
    (f"repositories: [{SFT}]", "cvmfs: [stf.cern.ch]", "3: images[0].cvmfs[0]: stf.cern.ch is not among "
     "`cvmfs.repositories`. Did you mean sft.cern.ch?"),
    ("", f"cvmfs: [{SFT}]", "Add it there, or remove it here."),
    (f"repositories: [{SFT}, {SFT}]", "", "in this list already"),
    ("repositories: [sft]", "", "the full name of a repository"),
    ("repositories: [../sft.cern.ch]", "", "the full name of a repository"),
    ("proxy: 'http://a$(id)'", "", "HTTP proxies in CVMFS's own notation"),
    ("folder: cvmfs", "", "an absolute path"),
    ("client: kernel", "", "one of: auto, container, host"),
    (f"repositories: [{SFT}, {CMS}]", f"cvmfs: [{CMS}], view: {VIEW}", "so write `cvmfs: [sft.cern.ch]` beside it"),
    (f"repositories: [{SFT}]", f"cvmfs: [{SFT}], view: /cvmfs/{SFT}/../x", "the folder of a view"),
    (f"repositories: [{SFT}]", f"cvmfs: [{SFT}], view: '/cvmfs/{SFT}/a b'", "the folder of a view"),
    (f"repositories: [{SFT}]", f"cvmfs: [{SFT}], view: /opt/view", "the folder of a view"),
])  # fmt: skip
def test_a_mistake_is_said_with_what_may_be(refused, section, image, words):
    assert words in refused(section, image)


def test_an_image_may_have_a_view_of_what_it_needs():
    image = {"slug": "lab", "title": "Lab", "image": "mlinfn/lab", "cvmfs": [SFT], "view": VIEW}
    assert Settings(cvmfs={"repositories": [SFT]}, images=[image]).images[0].view == VIEW


def test_labs_get_the_folder_with_what_comes_later():
    [mount] = mounts_of(CVMFS(repositories=(SFT,), folder="/srv/cvmfs"))
    assert mount.as_docker() == {"Type": "bind", "Source": "/srv/cvmfs", "Target": "/cvmfs", "ReadOnly": True,
                                 "BindOptions": {"Propagation": "rslave"}}  # fmt: skip


def test_without_repositories_there_is_nothing():
    assert mounts_of(CVMFS()) == ()
    assert cvmfs_service.profiles(Settings(), "") == ()
    assert [look(Settings(), Seen()) for look in (answers, shared, flags)] == [None, None, None]


def test_the_table_of_mounts_is_read():
    found = cvmfs.read(TABLE)
    assert cvmfs.below(found, "/cvmfs") == {SFT: Mounted(f"/cvmfs/{SFT}", "fuse", True, True),
                                            CMS: Mounted(f"/cvmfs/{CMS}", "fuse", False, False)}  # fmt: skip
    assert cvmfs.carrier(found, "/with space/below").path == "/with space"
    assert cvmfs.carrier(found, "/with space/below").is_shared
    assert cvmfs.carrier(found, "/withal").path == "/"
    assert cvmfs.carrier(found, "/old/x").is_shared, "the later one lies on top"


def test_a_kernel_of_a_view_is_where_jupyter_looks():
    with tarfile.open(fileobj=io.BytesIO(cvmfs.archive(VIEW))) as archive:
        [entry] = archive.getmembers()
        assert json.load(archive.extractfile(entry)) == specification(VIEW)
    assert entry.name == "usr/local/share/jupyter/kernels/cvmfs-view/kernel.json"
    assert specification(VIEW)["display_name"] == "LCG_106 (CVMFS)"
    assert specification(f"/cvmfs/{SFT}/mine/env")["display_name"] == "env (CVMFS)"


def test_a_kernel_of_a_view_has_what_its_setup_makes(tmp_path):
    """With a python3 of the view's own, which prints what it gets."""
    (tmp_path / "setup.sh").write_text(f'[ $# = 0 ] || exit 9\nexport PATH={tmp_path}:$PATH MADE_BY=view\n')
    (tmp_path / "python3").write_text('#!/bin/sh\necho "$MADE_BY" "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(_argv(tmp_path), capture_output=True, text=True)
    assert done.stdout == "view -m ipykernel_launcher -f /run/with space.json\n", done.stderr


def test_a_kernel_of_a_view_that_is_not_there_says_so(tmp_path):
    done = subprocess.run(_argv(tmp_path), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/setup.sh cannot be read: CVMFS does not answer, or there is no such view.\n"


def _argv(view):
    return [word.replace("{connection_file}", "/run/with space.json") for word in specification(str(view))["argv"]]


@pytest.mark.parametrize(("client", "mounts", "before", "expected"), [
    ("container", (), "", ("cvmfs", "cvmfs-probe")),
    ("host", (), "", ("cvmfs-probe",)),
    ("auto", (), "", ("cvmfs", "cvmfs-probe")),
    ("auto", (Mounted(f"/cvmfs/{SFT}", "fuse", True, True),), "", ("cvmfs-probe",)),
    ("auto", (Mounted(f"/cvmfs/{SFT}", "fuse", True, True),), "demo,cvmfs,cvmfs-probe", ("cvmfs", "cvmfs-probe")),
    ("auto", (Mounted("/cvmfs", "autofs", False, True),), "cvmfs", ("cvmfs-probe",)),
    ("auto", (Mounted("/cvmfs", "ext4", False, True),), "", ("cvmfs", "cvmfs-probe")),
], ids=["asked for", "not wanted", "none there", "mounted by others", "mounted by ours", "autofs", "a shared folder"])
def test_a_client_runs_where_the_machine_has_none(monkeypatch, tmp_path, client, mounts, before, expected):
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = SITE.cvmfs.model_copy(update={"client": client})
    has_own = cvmfs_service.has_own_client(settings, (ROOT, *mounts), is_ours="cvmfs" in before.split(","))
    assert cvmfs_service.needed(has_own) == expected


def test_a_machine_with_the_clients_program_is_used_as_it_is(monkeypatch, tmp_path):
    (tmp_path / "cvmfs2").write_text("#!/bin/sh\n")
    (tmp_path / "cvmfs2").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cvmfs_service.profiles(SITE, "") == ("cvmfs-probe",)


def test_client_has_the_settings_in_a_form_that_a_shell_reads(tmp_path):
    wanted = CVMFS(repositories=(SFT, CMS), proxy="http://a:3128|http://b:3128;DIRECT", cache="20G")
    path = tmp_path / "default.local"
    path.write_text(cvmfs_service.client_settings(wanted))
    script = f'. {path}; echo "$CVMFS_REPOSITORIES" "$CVMFS_HTTP_PROXY" "$CVMFS_QUOTA_LIMIT"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout
    assert said == f"{SFT},{CMS} http://a:3128|http://b:3128;DIRECT 20480\n"


def test_compose_is_told(tmp_path):
    settings = Settings(port=9000, login="demo", cvmfs={"repositories": [SFT, CMS], "folder": "/srv/cvmfs"})
    given = ground.variables(settings, tmp_path, "", ("cvmfs", "cvmfs-probe"))
    assert given["COMPOSE_PROFILES"] == "demo,backup,cvmfs,cvmfs-probe,monitoring,grafana"
    assert given["MLINFN_CVMFS_REPOSITORIES"] == f"{SFT},{CMS}"
    (tmp_path / "env").write_text(env_file.text(given))
    assert env_file.read(tmp_path / "env")["COMPOSE_PROFILES"] == given["COMPOSE_PROFILES"]


def test_services_that_cannot_start_are_named_once_and_the_others_go_on(tmp_path, monkeypatch):
    """As where no registry answers: with a `docker` that cannot fetch the client's image."""
    called = tmp_path / "called"
    fails = 'case "$*" in *" cvmfs") echo "no such host" >&2; exit 1; esac'
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$*" >> {called}\n{fails}\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config = tmp_path / "mlinfn.yaml"
    image = "{slug: a, title: A, image: a}"
    config.write_text(f"root: {tmp_path}\ncvmfs: {{repositories: [{SFT}]}}\nmonitoring: {{enabled: false}}\n"
                      f"images: [{image}]\n")
    site = Site(config)
    site.env_file.write_text(env_file.text(ground.variables(site.settings, config, "", ("cvmfs", "cvmfs-probe"))))
    [said] = compose.up(site, quiet=True)
    assert said.startswith("The service cvmfs could not be started; the others go on.")
    assert "no such host" in said
    ups = [line.partition(" up --detach ")[2] for line in called.read_text().splitlines() if " up " in line]
    others = [f"--no-deps {name}" for name in ("cvmfs", "cvmfs-probe", "backup", "backup-page")]
    assert ups == ["hub proxy guard", *others]
    assert "cvmfs" not in compose.expected(site.settings), "nobody waits for it"


WELL = Seen((ROOT, *(Mounted(f"/cvmfs/{name}", "fuse", True, True) for name in (SFT, CMS))),
            {SFT: State("ok", 0), CMS: State("ok", 0)})  # fmt: skip


@pytest.mark.parametrize("look", [answers, shared, flags])
def test_what_is_well_is_green_and_needs_nothing(look):
    found = look(SITE, WELL)
    assert (found.level, found.remedy) == ("green", "")


@pytest.mark.parametrize(("look", "change", "level", "said"), [
    (answers, {"states": {SFT: State("stuck", 2e5), CMS: State("ok", 0)}}, "amber", "sft.cern.ch does not answer (s"),
    (answers, {"states": {SFT: State("missing", 2e5)}}, "amber", "sft.cern.ch is not mounted (since 1970-01-0"),
    (answers, {"states": {SFT: State("broken", 2e5)}}, "amber", "its client is gone"),
    (answers, {"states": {SFT: State("unknown", 0), CMS: State("ok", 0)}}, "green", "cms.cern.ch of 2 answer"),
    (answers, {"states": "refused."}, "amber", "Nobody says which repositories answer: refused."),
    (answers, {"mounts": (Mounted("/", "ext4", False, False),)}, "amber", "labs have no /cvmfs"),
    (shared, {"mounts": (Mounted("/", "ext4", False, False),)}, "red", "/cvmfs is not on a shared mount"),
    (flags, {"mounts": (ROOT, replace(WELL.mounts[1], read_only=False))}, "red", f"{SFT}: mounted so that labs could"),
    (flags, {"mounts": (ROOT, WELL.mounts[2])}, "amber", f"Not mounted now: {SFT}."),
])  # fmt: skip
def test_what_is_not_well_is_named_with_what_mends_it(look, change, level, said):
    found = look(SITE, replace(WELL, **change))
    assert found.level == level
    assert said in found.reason
    assert bool(found.remedy) == (level != "green")


@pytest.mark.parametrize(("is_ours", "remedy"), [(True, "docker restart mlinfn-cvmfs"), (False, "cvmfs_config reload")])
def test_what_mends_it_is_for_the_client_that_is_there(is_ours, remedy):
    hung = replace(WELL, states={SFT: State("stuck", 0)}, is_ours=is_ours)
    assert remedy in answers(SITE, hung).remedy
