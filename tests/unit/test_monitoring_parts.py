"""What Prometheus and Alertmanager are told, and what is made of their answers."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.places import free_ports
from traitlets.config import Config
from typer.testing import CliRunner

from jupyterhub_mlinfn import hub
from jupyterhub_mlinfn.cli import alert_test, alerts_seen, app, compose, monitoring_config, monitoring_service
from jupyterhub_mlinfn.cvmfs import mounts
from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.settings import Settings

WEBHOOK = {"webhook_configs": [{"url": "https://chat.example.org/hook"}]}
MAIL = {"to": "keeper@example.org", "from": "mlinfn@example.org", "smarthost": "mail.example.org:587"}


def jobs(*services: str) -> dict[str, dict]:
    """Name -> job, for a site with these services."""
    told = monitoring_config.prometheus(Settings(port=9000), services)
    return {each["job_name"]: each for each in told["scrape_configs"]}


def test_only_what_runs_is_asked():
    assert set(jobs("hub", "proxy", "guard")) == {"hub", "proxy", "guard"}
    assert set(jobs(*compose.PROFILES)) == {
        "hub", "gpus", "cvmfs", "backup", "prometheus", "node", "alertmanager", "grafana", "cadvisor", "dcgm",
        "dirsize", "traefik", "certificate"}  # fmt: skip


def test_the_hub_is_asked_with_the_token_and_labs_that_went_are_gone_at_once():
    hub = jobs()["hub"]
    assert hub["static_configs"] == [{"targets": ["172.30.0.1:9002"]}]
    assert hub["authorization"]["credentials_file"] == "/run/secrets/prometheus_token"
    assert hub["track_timestamps_staleness"]


def test_prometheus_may_read_the_hubs_metrics_and_nothing_else(tmp_path):
    (tmp_path / "secrets/hub").mkdir(parents=True)
    for name in ("proxy_token", "prometheus_token", "command_token"):
        (tmp_path / "secrets/hub" / name).write_text(name)
    c = Config()
    hub.configure(c, Settings(root=tmp_path, backup={"targets": []}), tmp_path / "culler", tmp_path / "mlinfn.yaml")
    assert {"name": "prometheus", "api_token": "prometheus_token"} in c.JupyterHub.services
    [role] = [each for each in c.JupyterHub.load_roles if each["name"] == "prometheus"]
    assert (role["scopes"], role["services"]) == (["read:metrics"], ["prometheus"])


def test_what_had_to_be_fetched_is_asked_once_it_runs():
    [search] = jobs("grafana")["grafana"]["file_sd_configs"]
    assert search["files"] == ["/etc/prometheus/targets/grafana.json"]
    settings = Settings(port=9000)
    assert monitoring_config.targets(settings, "grafana", runs=True) == [{"targets": ["127.0.0.1:9013"]}]
    assert monitoring_config.targets(settings, "grafana", runs=False) == []


def test_a_site_has_the_profiles_that_it_can_have():
    def profiles(has_gpus=False, **section):
        return monitoring_service.profiles(Settings(monitoring=section), has_gpus=has_gpus)

    assert profiles() == ("monitoring", "grafana")
    assert profiles(has_gpus=True, cadvisor="registry.example.org/cadvisor:v0.54.1") == (
        "monitoring", "grafana", "cadvisor", "dcgm-exporter")  # fmt: skip
    assert profiles(enabled=False) == ()


@pytest.mark.parametrize(("table", "watched"), [
    ("1 0 8:1 / / rw shared:1 - ext4 /dev/vda rw\n", ("/", "rslave")),
    ("1 0 8:1 / / rw - ext4 /dev/vda rw\n", ("/srv/mlinfn", "rprivate")),
])  # fmt: skip
def test_disks_are_seen_as_far_as_docker_lets(table, watched):
    assert monitoring_service.watched(Path("/srv/mlinfn"), mounts.read(table)) == watched


@pytest.mark.parametrize(("section", "said"), [
    ({"alerts": {"email_configs": [{**MAIL, "auth_password": "x"}]}}, "auth_password_file: /run/secrets/FILE"),
    ({"alerts": {"webhook_configs": [{"http_config": {"basic_auth": {"password": "x"}}}]}}, "password_file"),
    ({"alerts": {"slack_configs": [{"api_url": "https://chat.example.org/T0"}]}}, "api_url_file"),
    ({"alerts": {"rocketchat_configs": [{"token_id": "x"}]}}, "token_id_file"),
    ({"alerts": {"email_configs": [{**MAIL, "auth_password_file": "/etc/mail"}]}}, "secrets/alertmanager"),
    ({"cadvisor": "registry.example.org/cadvisor:v0.49.2"}, "0.54 or newer"),
])  # fmt: skip
def test_settings_hold_no_password_and_no_old_cadvisor(section, said):
    with pytest.raises(ValidationError, match=said):
        Settings(monitoring=section)


def test_where_a_receiver_is_may_be_written():
    for kind in ("jira_configs", "rocketchat_configs", "opsgenie_configs", "telegram_configs", "webex_configs"):
        assert Settings(monitoring={"alerts": {kind: [{"api_url": "https://chat.example.org"}]}}).monitoring.alerts


def test_everything_goes_to_every_receiver_as_it_was_written():
    told = monitoring_config.alertmanager(Settings(monitoring={"alerts": {"email_configs": [MAIL], **WEBHOOK}}))
    assert told["receivers"] == [{"name": "keeper", "email_configs": [MAIL], **WEBHOOK}]
    assert monitoring_config.alertmanager(Settings())["receivers"] == [{"name": "keeper"}]


def test_what_fires_is_listed_the_worst_first():
    def one(name, severity, state="firing"):
        return {"labels": {"alertname": name, "severity": severity}, "state": state, "activeAt": "2026-11-25T10:00:00Z",
                "annotations": {"summary": f"{name}.", "todo": "", "page": ""}}  # fmt: skip

    alerts = [one("GPUHot", "warning"), one("DiskFull", "critical"), one("HubDown", "critical", "pending")]
    found = alerts_seen.firing({"data": {"alerts": alerts}})
    assert [each.name for each in found] == ["DiskFull", "GPUHot"]
    many = alerts_seen.Seen(alerts_seen.firing({"data": {"alerts": [one(f"A{n}", "warning") for n in range(5)]}}))
    assert alerts_seen.finding(Settings(), many).reason == "A0. A1. A2. And 2 more."


def test_well_is_said_with_how_the_keeper_is_told():
    told = alerts_seen.finding(Settings(monitoring={"alerts": WEBHOOK}), alerts_seen.Seen())
    assert told.level == "green"
    assert "by 1 way" in told.reason
    assert "`monitoring.cadvisor` names no image" in told.reason
    assert alerts_seen.finding(Settings(monitoring={"enabled": False}), alerts_seen.Seen()) is None


def text(*values: int) -> str:
    """Alertmanager's counters of a webhook: asked, in vain, given up."""
    names = (alert_test.ASKED, alert_test.IN_VAIN, alert_test.GIVEN_UP)
    return "".join(f'{name}{{integration="webhook"}} {value}\n' for name, value in zip(names, values, strict=True))


@pytest.mark.parametrize(("after", "is_over", "took"), [
    (text(7, 2, 0), False, False), (text(8, 2, 0), False, False), (text(9, 2, 0), True, True),
    (text(9, 4, 0), True, False), (text(8, 2, 1), True, False), (text(12, 5, 0), True, True),
])  # fmt: skip
def test_a_way_took_the_alert_when_all_of_its_kind_did(after, is_over, took):
    wanted, before = Counter(webhook=2), alert_test.counts(text(7, 2, 0))
    now = alert_test.counts(after)
    assert alert_test.is_over(wanted, before, now) == is_over
    assert alert_test.verdicts(wanted, before, now) == {"webhook": took}


def test_no_two_test_alerts_are_the_same():
    first, second = (alert_test.alert(datetime(2026, 1, 1, 0, 0, n, tzinfo=timezone.utc)) for n in (1, 2))
    assert first["labels"] != second["labels"]
    assert first["endsAt"] == "2026-01-01T00:01:01+00:00"


@pytest.mark.parametrize("words", [["alerts"], ["alerts", "test"]])
@pytest.mark.parametrize(("lines", "error", "said"), [
    ("monitoring: {enabled: false}", UserError, "Nothing is watched"),
    ("monitoring: {alerts: {webhook_configs: [{url: 'http://127.0.0.1:1/'}]}}", OperatorError, "does not answer"),
], ids=["off", "away"])  # fmt: skip
def test_who_asks_is_told_where_nothing_is_watched(tmp_path, words, lines, error, said):
    config = tmp_path / "mlinfn.yaml"
    config.write_text(f"port: {free_ports()}\nimages: [{{slug: a, title: A, image: a}}]\n{lines}\n")
    done = CliRunner().invoke(app, ["--config", str(config), *words])
    assert isinstance(done.exception, error)
    assert said in str(done.exception)
