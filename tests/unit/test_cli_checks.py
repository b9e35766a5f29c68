"""Each finding of status and doctor, from facts that were made up."""

import socket
import threading
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from jupyterhub_mlinfn import __version__
from jupyterhub_mlinfn.backup.state import State
from jupyterhub_mlinfn.cli import alerts_seen, backup_service, checks, compose, facts, registration
from jupyterhub_mlinfn.cli.checks import DOCTOR, STATUS, Facts, findings, worst
from jupyterhub_mlinfn.settings import Settings

COPIED = State("/srv/backup", begun="2026-11-25T03:00:00+00:00", ended="2026-11-25T03:01:00+00:00",
               good="2026-11-25T03:00:00+00:00")  # fmt: skip
TOLD = {"alerts": {"webhook_configs": [{"url": "https://chat.example.org/hook"}]}}
WELL = Facts(
    settings=Settings(monitoring=TOLD),
    engine={"ServerVersion": "28", "LiveRestoreEnabled": True, "CDISpecDirs": ["/etc/cdi"], "BridgeNfIptables": True},
    services={"hub": "healthy", "proxy": "healthy", "guard": "healthy"}, labs=("anna", "anna", "bob"),
    images=frozenset({"mlinfn/hub:1", "mlinfn/lab:1"}), service_images=("mlinfn/hub:1",), lab_images=("mlinfn/lab:1",),
    guard="ok", hub="ok", run_is_tmpfs=True, secrets=(), free={"/srv": (500 * 2**30, 1000 * 2**30)},
    taken_ports=(8000, 8001, 8002, 8003),
    backups=backup_service.Seen((COPIED,), now=datetime(2026, 11, 25, 9, tzinfo=timezone.utc)),
)
FULL = alerts_seen.Alert("DiskFull", "critical", "The disk is full.", "Make room.", "docs/x.md#diskfull", "2026")
HOT = replace(FULL, name="GPUHot", severity="warning", summary="A GPU is hot.")
ROOMS = Settings(groups=["cms"], rooms="each-group")
OTHERS = Settings(groups=["cms"], rooms=[{"name": "cms", "group": "cms", "image": "registry.example.org/collab"}])


def test_a_well_instance_is_green():
    found = findings(DOCTOR, WELL)
    assert {each.level for each in found} == {"green"}
    assert worst(found) == "green"
    assert not any(each.remedy for each in found)


@pytest.mark.parametrize(
    ("change", "title", "level", "remedy"),
    [
        ({"services": {"hub": "unhealthy", "proxy": "healthy"}}, "Services", "red", "mlinfn logs hub"),
        ({"services": {"hub": "missing", "proxy": "missing"}}, "Services", "red", "mlinfn up"),
        ({"services": {"hub": "starting", "proxy": "healthy"}}, "Services", "amber", "wait"),
        ({"guard": "a rule is missing."}, "Guard", "red", "mlinfn up"),
        ({"hub": "it answers 503."}, "Hub", "red", "mlinfn logs"),
        ({"free": {"/srv": (2**29, 2**40)}}, "Disk", "red", "docker system df"),
        ({"free": {"/srv": (2**39, 2**40), "/var": (5 * 2**30, 2**35)}}, "Disk", "amber", "du -xh"),
        ({"free": {"/srv": (150 * 2**30, 10**4 * 2**30), "/var": (60 * 2**30, 10**2 * 2**30)}}, "Disk", "red", "du"),
        ({"settings": Settings(subdomains=False)}, "Subdomains", "amber", "subdomains: true"),
        ({"images": frozenset({"mlinfn/lab:1"})}, "Our images", "red", "install.sh"),
        ({"images": frozenset({"mlinfn/hub:1"})}, "Members' images", "amber", "sudo mlinfn images build"),
        ({"lab_images": ("group/lab:1",)}, "Members' images", "amber", "sudo mlinfn images pull"),
        ({"services": {"hub": "missing"}}, "Ports", "red", "ss -ltnp"),
        ({"run_is_tmpfs": False}, "Tokens", "red", "mlinfn prepare"),
        ({"secrets": ("x is missing.",)}, "Secrets", "red", "mlinfn prepare"),
        ({"engine": {**WELL.engine, "LiveRestoreEnabled": False}}, "Engine restarts", "amber", "live-restore"),
        ({"services": {**WELL.services, "gpus": "unhealthy"}}, "Services", "amber", "nvidia-smi; mlinfn logs gpus"),
        ({"services": {**WELL.services, "cvmfs": "missing"}}, "Services", "amber", "mlinfn up"),
        ({"services": {**WELL.services, "cvmfs-probe": "unhealthy"}}, "Services", "amber", "mlinfn logs cvmfs-probe"),
        ({"services": {**WELL.services, "collab": "exited"}}, "Services", "amber", "mlinfn up"),
        ({"services": {**WELL.services, "collab": "unhealthy"}}, "Services", "amber", "mlinfn logs collab"),
        ({"services": {**WELL.services, "backup": "unhealthy"}}, "Services", "amber", "mlinfn logs backup"),
        ({"services": {**WELL.services, "backup-page": "exited"}}, "Services", "amber", "mlinfn up"),
        ({"services": WELL.services | dict.fromkeys(("backup", "backup-page"), "missing")}, "Services", "amber", "up"),
        ({"services": {**WELL.services, "grafana": "missing", "backup": "missing"}}, "Services", "amber", "mlinfn up"),
        ({"services": {**WELL.services, "prometheus": "restarting"}}, "Services", "amber", "mlinfn logs prometheus"),
        ({"services": {**WELL.services, "hub": "exited", "grafana": "missing"}}, "Services", "red", "mlinfn up"),
        ({"monitoring": alerts_seen.Seen(trouble="It is away.")}, "Monitoring", "amber", "mlinfn logs prometheus"),
        ({"monitoring": alerts_seen.Seen((FULL, HOT))}, "Monitoring", "red", "mlinfn alerts"),
        ({"monitoring": alerts_seen.Seen((HOT,))}, "Monitoring", "amber", "mlinfn alerts"),
        ({"settings": Settings()}, "Monitoring", "amber", "alerts: ..."),
        ({"services": {**WELL.services, "gpus": "missing"}}, "Services", "amber", "nvidia-smi; mlinfn up"),
        ({"engine": {**WELL.engine, "CDISpecDirs": None}}, "CDI", "amber", "cdi"),
        ({"misnamed_rooms": "/x.yaml:1: rooms: cms is."}, "Rooms", "red", "mlinfn config check"),
        ({"settings": ROOMS}, "Rooms", "amber", "sudo mlinfn images build collab"),
        ({"settings": OTHERS}, "Rooms", "amber", "docker pull registry.example.org/collab:latest"),
        ({"engine": {**WELL.engine, "BridgeNfIptables": False}}, "Between labs", "red", "br_netfilter"),
    ],
)
def test_what_is_not_well_is_named_with_what_mends_it(change, title, level, remedy):
    (finding,) = [each for each in findings(DOCTOR, replace(WELL, **change)) if each.title == title]
    assert finding.level == level
    assert remedy in finding.remedy
    assert finding.reason.endswith(".")


def test_rooms_whose_image_is_here_are_well():
    there = replace(WELL, settings=ROOMS, images=frozenset({f"mlinfn/collab:{__version__}"}))
    found = checks.rooms(there)
    assert (found.level, found.reason) == (
        "green", "1 is listed at http://collab--service.localhost:8000/services/collab/.")  # fmt: skip
    assert checks.rooms(replace(there, engine="Docker is not running.")) is None


@pytest.fixture
def site_with_folders(tmp_path):
    """Settings with a folder that is there, one that is not, and a file."""
    (tmp_path / "data").mkdir()
    (tmp_path / "file").touch()
    extra = [{"source": str(tmp_path / name), "target": f"/{name}"} for name in ("data", "gone", "file")]
    return Settings(storage={"extra": extra})


def test_folders_of_the_site_that_are_away_are_named(site_with_folders, tmp_path):
    away = facts.away(site_with_folders)
    assert away == (str(tmp_path / "gone"), str(tmp_path / "file"))
    seen = checks.folders(replace(WELL, settings=site_with_folders, away=away))
    assert (seen.level, f"without {tmp_path}/gone, {tmp_path}/file" in seen.reason) == ("amber", True)
    there = checks.folders(replace(WELL, settings=site_with_folders))
    assert there.reason == "Labs see the site's own /data, /gone, /file."
    assert checks.folders(WELL) is None


DEMO = Settings(login="demo")
IAM = Settings(login="iam", iam={"issuer": "https://iam.example.org", "allowed_groups": ["a"]})


@pytest.mark.parametrize(("settings", "known", "level", "said", "remedy"), [
    (DEMO, {"ok": True, "reason": "", "since": 0}, "green", "It answers", ""),
    (DEMO, {}, "amber", "not looked at it yet", "wait"),
    (DEMO, {"ok": False, "reason": "unreachable", "since": 2e5}, "amber", "it does not answer", "mlinfn logs iam-demo"),
    (IAM, {"ok": False, "reason": "invalid_client", "since": 2e5}, "amber", "Since 1970-01-0", "mlinfn iam check"),
    (IAM, {"ok": False, "reason": "no_refresh_token", "since": 2e5}, "amber", "sessions go on.", "mlinfn iam check"),
    (IAM, {"ok": True, "reason": "", "since": 0, "unknown": ["anna", "bob"]}, "amber", "be told: anna, bob.", "log in"),
], ids=["well", "not yet", "away", "registration", "no refresh token", "people without a login"])  # fmt: skip
def test_identity_service_is_looked_at_where_there_is_one(settings, known, level, said, remedy):
    (finding,) = [each for each in findings(STATUS, replace(WELL, settings=settings, identity=known))
                  if each.title == "Identity service"]  # fmt: skip
    assert finding.level == level
    assert said in finding.reason
    assert remedy in finding.remedy


def test_identity_service_is_left_out_where_everybody_has_a_password_here():
    assert "Identity service" not in [each.title for each in findings(STATUS, WELL)]


@pytest.mark.parametrize(("text", "known"), [(None, {}), ("half {", {}), ('{"ok": true}', {"ok": True})])
def test_what_the_hub_wrote_of_the_identity_service_is_read(tmp_path, text, known):
    (tmp_path / "hub").mkdir()
    if text:
        (tmp_path / "hub/identity-service.json").write_text(text)
    assert registration.noted(tmp_path) == known


def test_without_docker_the_rest_is_still_said():
    found = findings(STATUS, replace(WELL, engine="Docker is not running. Start it with: sudo dockerd"))
    assert [each.title for each in found] == ["Docker", "Backups", "Disk", "Subdomains"]
    assert (found[0].reason, found[0].remedy) == ("Docker is not running.", "sudo dockerd")
    assert worst(found) == "red"


def test_labs_and_people_are_counted():
    assert checks.labs(WELL).reason == "3 labs running, of 2 people."


@pytest.mark.parametrize(("image", "tagged"), [
    ("mlinfn/lab", "mlinfn/lab:0.1.0"), ("mlinfn/lab:2", "mlinfn/lab:2"), ("example/lab", "example/lab:latest"),
    ("localhost:5000/lab", "localhost:5000/lab:latest"), ("a/b@sha256:00", "a/b@sha256:00"),
])
def test_images_are_looked_for_under_their_whole_name(image, tagged):
    assert facts.tagged(image) == tagged


def test_what_is_no_web_server_at_our_port_is_said_to_be_so():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(b"SSH-2.0-OpenSSH_9.2\r\n")).start()
        said = facts.answer(f"http://127.0.0.1:{server.getsockname()[1]}/health")
    assert "does not answer (SSH-2.0-OpenSSH_9.2" in said


def test_listening_ports_are_read_from_the_kernel(tmp_path):
    row = "   0: 0100007F:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 0 0 1 1 0 100 0 0 10 0\n"
    (tmp_path / "tcp").write_text("head\n" + row.format(8000, "0A") + row.format(8001, "01") + row.format(9000, "0A"))
    assert facts.taken_ports(Settings(), Path(tmp_path)) == (8000,)


@pytest.mark.parametrize(("container", "state"), [
    (None, "missing"),
    ({"State": {"Status": "running", "Health": {"Status": "starting"}}}, "starting"),
    ({"State": {"Status": "restarting", "Health": {"Status": "unhealthy"}}}, "restarting"),
    ({"State": {"Status": "exited"}}, "exited"),
])
def test_the_state_of_a_service_is_one_word(container, state):
    assert compose.state(container) == state
