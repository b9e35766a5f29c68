"""The section `backup`: what a keeper may write, and what is said about what does not fit together."""

from datetime import timedelta

import pytest

from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import Settings, load
from jupyterhub_mlinfn.settings_backup import Keep, is_folder, widest

IMAGE = "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}\n"
TARGETS = ["/mnt/nas/mlinfn", "s3:https://s3.example.org/mlinfn", "sftp:keeper@nas.example.org:/backup", "rclone:box:b"]


@pytest.fixture
def refused(tmp_path):
    """The lines of the refusal of a section, without the first and the file's name."""

    def lines(*section):
        path = tmp_path / "mlinfn.yaml"
        path.write_text(IMAGE + "\n".join(["backup:", *section]))
        with pytest.raises(OperatorError) as error:
            load(path)
        return [line.removeprefix(f"{path}:") for line in str(error.value).splitlines()[1:]]

    return lines


def test_every_night_to_this_machine_unless_something_else_is_written():
    backup = Settings().backup
    assert (backup.targets, backup.schedule, backup.max_age) == (("/srv/backup",), "0 3 * * *", "2d")
    assert backup.kept("homes") == Keep(hourly=24, daily=14, weekly=8, monthly=12)


def test_a_kind_of_data_is_kept_for_a_time_of_its_own():
    backup = Settings(backup={"keep": {"daily": 3}, "keep_other": {"service": {"daily": 90}}}).backup
    assert (backup.kept("homes").daily, backup.kept("service").daily) == (3, 90)


def test_the_repositories_of_restic_are_targets():
    backup = Settings(backup={"targets": TARGETS}).backup
    assert [is_folder(each) for each in backup.targets] == [True, False, False, False]


@pytest.mark.parametrize(("section", "line", "words"), [
    ("targets: [backup]", 4, "a folder such as /srv/backup, or a repository"),
    ("targets: [/srv/backup, /srv/backup]", 4, "in this list already"),
    ("targets: [/srv/backup, /srv/backup/b]", 4, "lies in /srv/backup"),
    ("targets: [/srv/a/../b]", 4, "`..`"),
    ("targets: ['s3:https://key:word@s3.example.org/b']", 4, "secrets/backup"),
    ("targets: [/srv/mlinfn/backup]", 4, "lie in one another"),
    ("targets: [/srv]", 4, "lie in one another"),
    ("targets: [/data/shared/mlinfn]", 4, "for something else"),
    ("targets: [/data]", 4, "for something else"),
    ("targets: [/var/lib/backup]", 4, "for something else"),
    ("schedule: daily", 4, "five fields of cron"),
    ("schedule: 0 3 * * * *", 4, "five fields of cron"),
    ("schedule: 0 0 30 2 *", 4, "five fields of cron"),
    ("schedule: 0 3 * * mon", 3, "168 hours between two snapshots"),
    ("keep: {hourly: 0, daily: 0, weekly: 0, monthly: 0}", 4, "keeps nothing"),
    ("keep_other: {home: {daily: 1}}", 4, "homes, groups, shared, rooms, service"),
    ("bandwidth: fast", 4, "a size such as 512M"),
])  # fmt: skip
def test_what_cannot_be_is_named_with_its_line(refused, section, line, words):
    (said,) = refused(f"  {section}")
    assert said.startswith(f"{line}: backup")
    assert words in said


def test_labs_never_see_a_target():
    with pytest.raises(ValueError, match=r"labs would see /data/b through `storage\.extra`"):
        Settings(backup={"targets": ["/data/b"]}, storage={"extra": [{"source": "/data", "target": "/data"}]})


@pytest.mark.parametrize(("schedule", "gap"), [
    ("0 3 * * *", timedelta(days=1)), ("*/10 * * * *", timedelta(minutes=10)), ("0 8,12 * * *", timedelta(hours=20)),
    ("0 3 * * 1-5", timedelta(days=3)), ("0 3 1 * *", timedelta(days=31)), ("0 3 29 2 *", timedelta(days=1461)),
    ("0 8,12 * * 1-5", timedelta(days=2, hours=20)), ("*/10 8-17 * * *", timedelta(hours=14, minutes=10)),
    ("*/10 * * * 1-5", timedelta(days=2, minutes=10)), ("0 3 * 1-6 *", timedelta(days=185)),
    ("0 3 29 2 */7", timedelta(days=10227)),
])  # fmt: skip
def test_the_longest_gap_of_a_schedule_is_known(schedule, gap):
    assert widest(schedule) == gap
