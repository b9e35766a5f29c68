"""What is known of targets: its file, its lock, its metrics, and what a keeper reads of it."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jupyterhub_mlinfn import metrics
from jupyterhub_mlinfn.backup import place, report, state, target
from jupyterhub_mlinfn.backup.planning import Taken
from jupyterhub_mlinfn.backup.service import Service, ask_for_databases
from jupyterhub_mlinfn.backup.state import State
from jupyterhub_mlinfn.backup.trouble import Trouble
from jupyterhub_mlinfn.cli import backup_service
from jupyterhub_mlinfn.cli.backup_service import Seen, finding
from jupyterhub_mlinfn.cvmfs.mounts import Mounted
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import Settings

THEN = datetime(2026, 11, 25, 3, tzinfo=timezone.utc)
NOW = THEN + timedelta(hours=9)
LATER = THEN + timedelta(days=3)
URL = "s3:https://s3.example.org/b"
GOOD = State(URL, repository="r", begun=THEN.isoformat(), ended=THEN.isoformat(), good=THEN.isoformat(), size=7,
             kinds={"homes": Taken("s", "t", 3, 300, 30)}, verified=THEN.isoformat(), verified_files=3,
             exported=THEN.isoformat())  # fmt: skip
AWAY = GOOD.failed(Trouble(URL, "away", "connection refused"), NOW.isoformat())
SETTINGS = Settings(backup={"targets": [URL]})


def test_what_is_known_is_read_back(tmp_path):
    assert state.load(tmp_path, URL) == State(URL)
    state.save(tmp_path, GOOD)
    assert state.load(tmp_path, URL) == GOOD
    (tmp_path / f"{state.name_of(URL)}.json").write_text('{"url": ')
    assert state.load(tmp_path, URL) == State(URL)


def test_what_a_later_version_knows_besides_costs_nothing_of_what_is_known(tmp_path):
    path = tmp_path / f"{state.name_of(URL)}.json"
    state.save(tmp_path, GOOD)
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "later": 1, "kinds": {"homes": {**data["kinds"]["homes"], "later": 1}}}))
    assert state.load(tmp_path, URL) == GOOD


@pytest.mark.parametrize(("last", "due"), [
    ("", True), (datetime.now(timezone.utc).isoformat(), False), (NOW.replace(year=2020).isoformat(), True),
    ("2136-01-01T00:00:00+00:00", True),
], ids=["never", "now", "long ago", "the clock was wrong"])  # fmt: skip
def test_what_is_done_once_a_day_is_due(last, due):
    assert target._is_due(last, timedelta(hours=20)) == due


def test_a_machine_has_one_id_for_ever(tmp_path):
    with ThreadPoolExecutor() as threads:
        (one,) = set(threads.map(lambda number: state.machine(tmp_path / "backup"), range(8)))
    assert state.machine(tmp_path / "backup") == one != state.machine(tmp_path / "other")


def test_only_one_of_ours_works_on_a_target(tmp_path):
    with state.alone(tmp_path, URL), state.alone(tmp_path, "/other"), pytest.raises(Trouble, match="already"), \
            state.alone(tmp_path, URL):  # fmt: skip
        pass
    with state.alone(tmp_path, URL):
        pass


def test_trouble_is_remembered_from_its_beginning_whatever_it_changes_to():
    again = AWAY.failed(Trouble(URL, "away"), LATER.isoformat())
    assert (again.failures, again.since, again.good) == (2, NOW.isoformat(), GOOD.good)
    assert again.failed(Trouble(URL, "full"), LATER.isoformat()).since == NOW.isoformat()


def test_a_run_that_was_cut_off_did_not_end_well():
    first = State(URL).begins(THEN.isoformat())
    assert (first.since, first.failures) == ("", 0)
    third = first.begins(NOW.isoformat()).begins(LATER.isoformat())
    assert (third.since, third.failures, third.begun) == (THEN.isoformat(), 2, LATER.isoformat())
    assert GOOD.begins(NOW.isoformat()).since == ""


@pytest.mark.parametrize(("known", "is_up"), [
    (GOOD, 1), (AWAY, 0), (State(URL).begins(THEN.isoformat()), 1), (GOOD.begins(NOW.isoformat()), 1),
    (GOOD.begins(NOW.isoformat()).begins(LATER.isoformat()), 0), (AWAY.begins(LATER.isoformat()), 0),
], ids=["good", "failed", "the first goes on", "the next goes on", "one was cut off", "it is tried again"])  # fmt: skip
def test_metrics_say_whether_a_run_failed_or_was_cut_off(known, is_up):
    text = metrics.page(report.families([known], LATER))
    assert re.search(r"^mlinfn_backup_up\{.*\} (\d)", text, re.MULTILINE)[1] == str(is_up)


@pytest.mark.parametrize(("seen", "level", "said"), [
    (Seen((GOOD,), now=NOW), "green", "the newest good snapshot is 9 hours old"),
    (Seen((GOOD,), now=LATER), "red", "3 days old"),
    (Seen((AWAY,), now=NOW), "amber", "it does not answer (connection refused)"),
    (Seen((AWAY,), now=LATER), "red", "it does not answer"),
    (Seen((State(URL),), now=NOW), "amber", "not done yet"),
    (Seen((GOOD.begins(NOW.isoformat()),), now=NOW), "green", "9 hours old"),
    (Seen((GOOD.begins(THEN.isoformat()).begins(NOW.isoformat()),), now=NOW), "amber", "A run was cut off."),
    (Seen((State(URL).failed(Trouble(URL, "key"), THEN.isoformat()),), now=LATER), "red", "the key in secrets/backup"),
    (Seen((State(URL).begins(THEN.isoformat()).begins(NOW.isoformat()),), now=LATER), "red", "no good snapshot"),
    (Seen((State(URL).failed(Trouble(URL, "key"), THEN.isoformat()).failed(Trouble(URL, "away"), NOW.isoformat()),),
          now=LATER), "red", "it does not answer"),
    (Seen((GOOD.failed(Trouble(URL, "missing"), NOW.isoformat()),), now=NOW), "amber", "is the disk mounted"),
    (Seen((GOOD.failed(Trouble(URL, "machine"), NOW.isoformat()),), now=NOW), "amber", "another machine writes"),
    (Seen((replace(AWAY, good="2036-01-01T00:00:00+00:00"),), now=LATER), "red", "it does not answer"),
    (Seen((GOOD,), key_was_shown=False, now=NOW), "amber", "safe"),
    (Seen((GOOD,), on_one_disk=True, now=NOW), "amber", "dies with it"),
    (Seen((replace(GOOD, stale="The hub did not copy."),), now=NOW), "amber", "The hub did not copy."),
    (Seen((replace(GOOD, good=LATER.isoformat(), exported=THEN.isoformat(), stale="The hub did not."),), now=LATER),
     "red", "the hub's databases in it are 3 days old. The hub did not."),
    (Seen((replace(GOOD, kinds={"homes": Taken("s", "t", 3, 300, 30, unread=2)}),), now=NOW), "amber", "2 files"),
])  # fmt: skip
def test_a_keeper_reads_how_the_copies_stand(seen, level, said):
    found = finding(SETTINGS, seen)
    assert found.level == level
    assert said in found.reason
    assert bool(found.remedy) == (level != "green")


@pytest.mark.parametrize(("where", "beside"), [
    ("/srv/backup", True), ("/mnt/nas/mlinfn", False), ("/mnt/nas2/x", True), (URL, False),
])  # fmt: skip
def test_a_target_is_on_the_disk_of_the_data_by_the_table_of_mounts(where, beside):
    table = (Mounted("/", "ext4", False, True), Mounted("/mnt/nas", "nfs4", False, True))
    assert backup_service.is_beside(where, Path("/srv/mlinfn"), table) == beside


def test_no_target_is_no_backup():
    assert finding(Settings(backup={"targets": []}), Seen()).level == "amber"


def test_metrics_say_what_is_known():
    text = metrics.page(report.families([AWAY], NOW))
    found = {(each.name, each.labels.get("target")): each.value for family in text_string_to_metric_families(text)
             for each in family.samples}  # fmt: skip
    assert found["mlinfn_backup_last_success_timestamp_seconds", URL] == THEN.timestamp()
    assert found["mlinfn_backup_failures_total", URL] == AWAY.failures
    assert found["mlinfn_backup_added_bytes", URL] == 30
    assert found["mlinfn_backup_databases_last_success_timestamp_seconds", URL] == THEN.timestamp()


def test_a_hub_that_is_away_is_said(tmp_path):
    (tmp_path / place.TOKEN).write_text("t")
    away = place.Place(SETTINGS, tmp_path, tmp_path, tmp_path, hub="http://127.0.0.1:9/hub/api")
    assert "those of before are taken" in ask_for_databases(away, patience_s=0)


def test_a_run_that_cannot_even_say_that_it_began_is_not_begun_again_at_once(tmp_path):
    (tmp_path / "file").touch()
    service = Service(place.Place(SETTINGS, tmp_path, tmp_path / "file", tmp_path))
    service.step(URL, NOW)
    with pytest.raises(TimeoutError):
        service._going[URL].result(timeout=0.3)
    service.end()
    assert service._going[URL].result(timeout=5) is None


@pytest.mark.parametrize(("name", "hours"), [("Europe/Rome", [2, 1]), ("", [0, 0]), ("Europe", [0, 0])])
def test_the_service_knows_when_the_clock_changes(name, hours):
    zone = place.Place.from_environment({"TZ": name}).zone
    days = (datetime(2026, 10, day, tzinfo=zone) for day in (24, 26))
    assert [each.utcoffset() for each in days] == [timedelta(hours=each) for each in hours]


def test_the_service_answers_for_itself(tmp_path):
    service = Service(place.Place(SETTINGS, tmp_path, tmp_path, tmp_path))
    state.save(tmp_path, GOOD)
    assert report.answer(service, "/health") == (200, "ok\n")
    assert json.loads(report.answer(service, "/")[1])[0]["repository"] == "r"
    assert "mlinfn_backup_size_bytes" in report.answer(service, "/metrics")[1]
    assert report.answer(service, "/else")[0] == 404
    service.beat -= 1000
    assert report.answer(service, "/health")[0] == 503


def test_credentials_belong_to_their_target(tmp_path):
    path = tmp_path / "targets.ini"
    assert place.credentials(path) == {}
    path.write_text(f"# a remark\n[{URL}]\nAWS_ACCESS_KEY_ID = a\nAWS_SECRET_ACCESS_KEY = b=%c\n")
    assert place.credentials(path) == {URL: {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b=%c"}}


@pytest.mark.parametrize(("text", "said"), [
    ("AWS_ACCESS_KEY_ID = a", "line 1"), (f"[{URL}]\nwords", "line 2"), (f"[{URL}]\nLD_PRELOAD = x", "no credential"),
    (f"[{URL}]\nRESTIC_PASSWORD_COMMAND = x", "no credential"), (f"# à\n[{URL}]", "not UTF-8"),
])  # fmt: skip
def test_credentials_that_make_no_sense_are_refused(tmp_path, text, said):
    (tmp_path / "targets.ini").write_text(text, encoding="latin-1")
    with pytest.raises(OperatorError, match=said):
        place.credentials(tmp_path / "targets.ini")


def test_rclone_keeps_the_tokens_that_it_gets_until_another_configuration_is_given(tmp_path):
    here = place.Place(SETTINGS, tmp_path, tmp_path / "state", tmp_path)
    (tmp_path / place.KEY).touch()
    with pytest.raises(OperatorError, match=r"no rclone\.conf"):
        here.restic("rclone:box:b")
    (tmp_path / place.RCLONE).write_text("[box]\ntoken = first\n")
    used = Path(here.restic("rclone:box:b").environment["RCLONE_CONFIG"])
    used.write_text("[box]\ntoken = second\n")
    here.restic("rclone:box:b")
    assert used.read_text() == "[box]\ntoken = second\n"
    assert (tmp_path / place.RCLONE).read_text() == "[box]\ntoken = first\n"
    (tmp_path / place.RCLONE).write_text("[box]\ntoken = third\n")
    here.restic("rclone:box:b")
    assert used.read_text() == "[box]\ntoken = third\n"
    assert used.stat().st_mode & 0o777 == 0o600


def test_whatever_is_sent_does_not_take_the_whole_line(tmp_path):
    (tmp_path / place.KEY).touch()
    here = place.Place(Settings(backup={"targets": [URL], "bandwidth": "10M"}), tmp_path, tmp_path, tmp_path)
    assert here.restic(URL).options == ("--limit-upload=10240",), "tidying sends as well"


def test_compose_mounts_the_folders_among_the_targets_that_are_there():
    settings = Settings(instance="a", backup={"targets": ["/mnt/a$b", "s3:x", "/mnt/away"]})
    part = backup_service.compose_part(settings, "a.gpu1", "Europe/Rome", {"/mnt/a$b": "/mnt"})["services"]["backup"]
    assert part["hostname"] == "a.gpu1"
    assert part["environment"] == {"TZ": "Europe/Rome", "MLINFN_BACKUP_HOST": "a.gpu1"}
    assert [(each["source"], each["target"]) for each in part["volumes"]] == [("/mnt/a$$b", "/mnt/a$$b")]
    before = backup_service.compose_part(settings, "a.gpu1", "Europe/Rome", {"/mnt/a$b": "/"})
    assert before["services"]["backup"] != part, "a container is made anew when a disk was mounted"


def test_hosts_of_containers_are_known_on_their_own_machine_alone(tmp_path):
    ours = Settings(instance="a" * 20, root=tmp_path / "ours")
    host = backup_service.host(ours)
    assert host == backup_service.host(ours) != backup_service.host(Settings(instance="a" * 20, root=tmp_path / "b"))
    by_hand = "1a2b3c4d." + host
    assert len(by_hand) < 64, "it is too long for a host's name"
    here = place.Place(ours, tmp_path, tmp_path, tmp_path, host=host)
    assert [here.is_ours(each) for each in (host, by_hand, "x" + host, "gpu1", "")] == [True, True, False, False, False]
    assert not replace(here, host="").is_ours(host)


def test_the_time_zone_is_that_of_the_machine(tmp_path):
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    assert backup_service.time_zone(tmp_path / "localtime") in ("Etc/UTC", "UTC")
    assert backup_service.time_zone(tmp_path / "none") == "UTC"
