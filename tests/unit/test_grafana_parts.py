"""Grafana's configuration agrees with the hub's, and with what Compose gives it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.grafana import INI, REFERENCE, configuration
from support.places import CHECKOUT
from traitlets.config import Config

from jupyterhub_mlinfn import grafana
from jupyterhub_mlinfn.cli import monitoring_service
from jupyterhub_mlinfn.settings import Settings

HERE = [{"targets": ["127.0.0.1:8013"]}]
PROVISIONING = CHECKOUT / "grafana/provisioning"
OAUTH = configuration()["auth.generic_oauth"]
OFF = {"analytics": ("reporting_enabled", "check_for_updates", "check_for_plugin_updates"),
       "news": ("news_feed_enabled",), "plugins": ("plugin_admin_enabled",), "public_dashboards": ("enabled",),
       "snapshots": ("enabled", "external_enabled"), "auth.basic": ("enabled",), "auth.anonymous": ("enabled",),
       "users": ("allow_sign_up", "viewers_can_edit")}  # fmt: skip
ON = {"plugins": ("preinstall_disabled", "public_key_retrieval_disabled"), "auth": ("disable_login_form",),
      "security": ("disable_gravatar", "disable_initial_admin_creation")}  # fmt: skip


def configured(tmp_path, targets=HERE, **settings) -> Config:
    (tmp_path / "secrets/hub").mkdir(parents=True)
    (tmp_path / "secrets/hub" / grafana.PAGE.secret).write_text("its token\n")
    place = tmp_path / grafana.TARGETS
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(targets))
    c = Config()
    c.JupyterHub.services, c.JupyterHub.extra_handlers, c.JupyterHub.template_vars = [], [], {}
    c.JupyterHub.extra_user_scopes = set()
    grafana.configure(c, Settings(root=tmp_path, **settings))
    return c.JupyterHub


def test_hub_and_grafana_mean_the_same_client(tmp_path):
    hub = configured(tmp_path)
    [service] = hub.services
    assert OAUTH["client_id"] == f"service-{service['name']}"
    assert [OAUTH["scopes"]] == service["oauth_client_allowed_scopes"]
    assert OAUTH["client_secret"] == f"$__file{{/run/secrets/{grafana.PAGE.secret}}}"
    assert service["oauth_redirect_uri"] == f"{hub.template_vars['monitoring_url']}login/generic_oauth"
    assert service["url"] == "http://127.0.0.1:8013"


@pytest.mark.parametrize(("targets", "watched"), [(HERE, False), ([], True)], ids=["not watched", "not to be had"])
def test_hub_has_nothing_of_it_where_it_does_not_run(tmp_path, targets, watched):
    hub = configured(tmp_path, targets, monitoring={"enabled": watched})
    assert (hub.services, hub.extra_user_scopes, hub.template_vars) == ([], set(), {})


def test_what_up_writes_is_what_the_hub_reads(tmp_path):
    settings = Settings(root=tmp_path)
    assert not grafana.runs(settings)
    (tmp_path / grafana.TARGETS).parent.mkdir(parents=True)
    for running in (["grafana"], []):
        monitoring_service.write_targets(settings, running)
        assert grafana.runs(settings) is bool(running)
        assert monitoring_service.read_by_hub(settings) == [tmp_path / grafana.TARGETS]


@pytest.mark.parametrize(("wanted", "switches"), [(False, OFF), (True, ON)], ids=["off", "on"])
def test_nobody_comes_in_otherwise_and_nothing_goes_out(wanted, switches):
    ini = configuration()
    there = {(section, name): ini.getboolean(section, name) for section, names in switches.items() for name in names}
    assert there == dict.fromkeys(there, wanted)


def test_no_secret_is_in_it():
    ini = configuration()
    for section in ini.sections():
        for name, value in ini[section].items():
            if re.search(r"secret|password", name):
                assert REFERENCE.fullmatch(value), f"{section}: {name}"
                assert value.startswith("$__file{/run/secrets/")


def test_compose_gives_it_what_it_names():
    service = YAML(typ="safe").load(CHECKOUT / "compose/compose.yaml")["services"]["grafana"]
    files = [INI, *PROVISIONING.rglob("*.yaml")]
    named = {name for path in files for name in re.findall(r"\bMLINFN_\w+", path.read_text())}
    assert named == set(service["environment"])
    assert {Path(name).name for kind, name in REFERENCE.findall(INI.read_text()) if kind == "file"} == set(
        monitoring_service.READERS["grafana"][1])  # fmt: skip
    mounts = {mount["target"]: mount["source"] for mount in service["volumes"]}
    assert (mounts["/etc/grafana"], mounts["/run/secrets"]) == ("../grafana", "${MLINFN_ROOT}/secrets/grafana")
    assert service["healthcheck"]["test"][-1].endswith(f"{grafana.PAGE.prefix}api/health")


def test_provisioned_files_say_where_the_boards_and_the_numbers_are():
    yaml = YAML(typ="safe")
    [provider] = yaml.load(PROVISIONING / "dashboards/boards.yaml")["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    assert configuration()["dashboards"]["default_home_dashboard_path"] == "/etc/grafana/dashboards/machine.json"
    [source] = yaml.load(PROVISIONING / "datasources/prometheus.yaml")["datasources"]
    assert (source["type"], source["isDefault"], source["access"]) == ("prometheus", True, "proxy")
