"""Labs with our image whose member may be root, and one whose home is full."""

from __future__ import annotations

import subprocess
from contextlib import suppress

import pytest
from support.site import Site
from support.wait import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
LEAVE = """
sudo install -m 4755 /bin/true ~/program
sudo mkdir -p ~/made/by && sudo touch ~/made/by/root /groups/cms/of-root
sudo ln -s /etc/shadow ~/link
sudo chown root:root /groups/cms
"""


@pytest.fixture
def site(lab_site, lab_image) -> Site:
    """Anna, who may be root in her lab, and boris, who may not, both in cms."""
    site = lab_site(groups=["cms"], root_groups=["keepers"])
    site.add_user("anna", groups=("cms", "keepers"))
    site.add_user("boris", groups=("cms",))
    return site


def run(site: Site, name: str, command: str) -> tuple[int, str]:
    """Exit status and output of a command in somebody's lab."""
    ended = site.lab_of(name).exec_run(["bash", "-c", command])
    return ended.exit_code, ended.output.decode()


def owners(site: Site, place: str) -> set[tuple[int, int]]:
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in (site.root / place).rglob("*")}


def test_members_of_some_groups_are_root_in_their_labs_and_leave_nothing_of_roots(site):
    for name in ("anna", "boris"):
        site.api.start(name)
    assert run(site, "anna", "sudo -n id -u") == (0, "0\n")
    assert run(site, "anna", "sudo -n chown boris ~/x; sudo mount -t tmpfs none /mnt")[0] != 0
    status, said = run(site, "anna", "sudo apt-get update -q && sudo apt-get install -y -q hello && hello")
    assert status == 0, said
    assert run(site, "boris", "sudo -n id -u")[0] != 0
    host = site.lab_of("boris").attrs["HostConfig"]
    assert (host["CapAdd"], "no-new-privileges" in host["SecurityOpt"]) == (None, True)
    assert run(site, "anna", LEAVE)[0] == 0
    uid = int(run(site, "anna", "id -u")[1])
    site.api.stop("anna")
    assert {owner for owner, _ in owners(site, "users/anna")} == {uid}
    assert not (site.root / "users/anna/program").stat().st_mode & 0o6000
    assert {owner for owner, _ in owners(site, "groups/cms")} == {uid}
    assert run(site, "boris", "touch /groups/cms/mine && echo more >>/groups/cms/mine")[0] == 0


def test_what_root_left_is_settled_after_the_hub_was_killed(site):
    site.api.start("anna")
    assert run(site, "anna", "sudo touch ~/file && stat -c %u ~/file") == (0, "0\n")
    lab = site.lab_of("anna")
    site.hub.kill()
    lab.kill()
    site.start_hub()
    file = site.root / "users/anna/file"
    until(lambda: file.stat().st_uid == file.parent.stat().st_uid, 60, "the file to be anna's")
    site.api.start("anna")


def test_a_member_whose_home_is_full_gets_in_to_clean_up(site):
    site.api.start("boris")
    site.api.stop("boris")
    home = site.root / "users/boris"
    uid = home.stat().st_uid
    options = f"size=256k,uid={uid},gid={uid},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", home], check=True)
    try:
        with suppress(OSError), (home / "full").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        site.api.start("boris")
        assert run(site, "boris", "echo x >~/more")[0] != 0
        assert run(site, "boris", "rm ~/full && echo x >~/more")[0] == 0
        site.api.stop("boris")
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)
