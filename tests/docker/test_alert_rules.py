"""Rules and alerts, tried by promtool on series that were made up; configurations, read by the programs themselves."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.alert_cases import CARD, CASES, LAB, OLD_CARD, SOONER
from support.places import CHECKOUT

from jupyterhub_mlinfn.cli import compose, monitoring_config
from jupyterhub_mlinfn.settings import Settings

pytestmark = [pytest.mark.docker, pytest.mark.alone]

ALERTS = CHECKOUT / "compose/prometheus/alerts.yaml"
FILES = ("/usr/share/mlinfn/records.yaml", "/usr/share/mlinfn/alerts.yaml", "/rules/thresholds.yaml")
ONE, TWO = "1" * 64, "2" * 64
NAMES = 'user="anna",server="",room="",profile="lab"'
MAIL = {"email_configs": [{"to": "keeper@example.org", "from": "mlinfn@example.org", "smarthost": "example.org:587",
                           "auth_username": "mlinfn", "auth_password_file": "/run/secrets/mail"}],
        "webhook_configs": [{"url": "https://chat.example.org/hook"}]}  # fmt: skip


@pytest.fixture
def program(images, tmp_path):
    """Runs a program of the image on files in `tmp_path`, which it sees as /rules; its output, once it is well."""

    def run(*words: str) -> str:
        command = ["docker", "run", "--rm", "--network=none", "--user=0:0", f"--volume={tmp_path}:/rules:ro",
                   images["monitoring"], *words]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def put(folder: Path, name: str, data: object) -> None:
    (folder / name).write_text(json.dumps(data))


def tried(folder: Path, program, *tests: dict, step: str = "1m") -> None:
    """Nothing, if what these tests expect comes to pass."""
    put(folder, "thresholds.yaml", monitoring_config.thresholds(Settings(monitoring={"thresholds": SOONER})))
    tests = [{**each, "interval": step} for each in tests]
    put(folder, "tests.yaml", {"rule_files": FILES, "evaluation_interval": step, "tests": tests})
    program("promtool", "test", "rules", "/rules/tests.yaml")


def trial(name: str, series: dict, at: str, **expected: float | None) -> dict:
    """A test: expressions and their one value without labels, or None for no value."""
    given = [{"series": key, "values": value} for key, value in series.items()]
    wanted = [{"expr": expression, "eval_time": at,
               "exp_samples": [] if value is None else [{"labels": "{}", "value": value}]}
              for expression, value in expected.items()]  # fmt: skip
    return {"name": name, "input_series": given, "promql_expr_test": wanted}


@pytest.mark.parametrize("step", sorted({case.step for case in CASES}))
def test_each_alert_fires_in_one_case_and_is_quiet_in_another(program, tmp_path, step):
    tests = []
    for case in (case for case in CASES if case.step == step):
        firing = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}})'
        tests += [trial(f"{case.alert} fires", case.fires, case.at, **{firing: 1}),
                  trial(f"{case.alert} is quiet", case.quiet, case.at, **{firing: None})]  # fmt: skip
    tried(tmp_path, program, *tests, step=step)


def test_each_alert_has_a_case():
    groups = YAML(typ="safe").load(ALERTS)["groups"]
    assert {case.alert for case in CASES} == {rule["alert"] for group in groups for rule in group["rules"]}


def test_gpu_hours_are_right_to_one_percent_also_when_the_hub_was_restarted(program, tmp_path):
    """Two GPUs for three hours, and a quarter of one for two; one person in one group, another in two classes."""
    series = {
        'mlinfn_gpu_seconds_total{user="anna",group="cms",class="a100"}': "0+120x90 0+120x90 10800x180",
        'mlinfn_gpu_seconds_total{user="bob",group="cms",class="t4"}': "_x30 0+15x120 1800x210",
        'mlinfn_gpu_seconds_total{user="bob",group="cms",class="a100"}': "_x30 0+60x60 3600x270",
    }

    def close(name: str, hours: float) -> dict:
        return {f"sum(abs(mlinfn:{name} / {hours} - 1) < bool 0.01)": 1}

    wanted = {**close('person_gpu_hours:increase1d{user="anna"}', 6), **close('group_gpu_hours:increase1d', 7.5),
              **close('person_gpu_hours:increase1d{user="bob"}', 1.5)}  # fmt: skip
    tried(tmp_path, program, trial("GPU-hours", series, "6h", **wanted))


def test_what_is_used_is_a_persons_and_a_groups(program, tmp_path):
    """With the numbers of a card said once for each job on it, with either spelling of `hostname`."""
    shared = LAB.replace("anna", "bob")
    series = {
        f"mlinfn_lab_cpu_seconds_total{{{NAMES}}}": "0+90x30",
        f"mlinfn_lab_memory_working_set_bytes{{{NAMES}}}": "1000x30",
        'mlinfn_lab_memory_working_set_bytes{user="anna",server="two",room="",profile="lab"}': "500x30",
        'jupyterhub_user_group_info{user="anna",group="cms"}': "1x30",
        'jupyterhub_user_group_info{user="bob",group="cms"}': "1x30",
        'jupyterhub_user_group_info{user="bob",group="atlas"}': "1x30",
        f"mlinfn_lab_gpu_info{LAB}": "0.25x30", f"mlinfn_lab_gpu_info{shared}": "0.75x30",
        f'DCGM_FI_DEV_GPU_UTIL{CARD.replace("}", ",hpc_job=%s}")}' % '"anna"': "80x30",
        f'DCGM_FI_DEV_GPU_UTIL{CARD.replace("}", ",hpc_job=%s}")}' % '"bob"': "80x30",
        f"DCGM_FI_DEV_FB_USED{OLD_CARD}": "4x30",
        'DCGM_FI_DEV_FB_USED{gpu="2",UUID="GPU-2",GPU_I_PROFILE="1g.10gb",GPU_I_ID="7"}': "3x30",
        'mlinfn_lab_gpu_info{user="eva",server="",room="",gpu="MIG-5",index="2.7",class="a100-1g.10gb"}': "1x30",
    }  # fmt: skip
    wanted = {
        'sum(mlinfn:person_cpus:rate5m{user="anna"})': 1.5, 'sum(mlinfn:person_memory_bytes{user="anna"})': 1500,
        'sum(mlinfn:group_memory_bytes{group="cms"})': 1500, 'sum(mlinfn:group_gpus{group="cms"})': 1,
        'sum(mlinfn:group_gpus{group="atlas"})': 0.75, 'sum(mlinfn:group_cpus:rate5m)': 1.5,
        'sum(round(mlinfn:person_gpus_busy{user="bob"}, 0.01))': 0.6,
        'sum(mlinfn:person_gpu_memory_bytes{user="anna"})': 2**20,
        'sum(mlinfn:person_gpu_memory_bytes{user="eva"})': 3 * 2**20,
    }  # fmt: skip
    nobody = {'sum(mlinfn:person_cpus:rate5m)': 1.5, 'count(mlinfn:person_cpus:rate5m{user!=""})': None}
    tried(tmp_path, program, trial("people", series, "20m", **wanted),
          trial("per_person: false", {'mlinfn_lab_cpu_seconds_total{profile="lab"}': "0+90x30"}, "20m", **nobody))


def test_cadvisors_containers_are_peoples_by_their_ids_in_either_version_of_cgroups(program, tmp_path):
    series = {
        f'container_cpu_usage_seconds_total{{cpu="total",id="/docker/{ONE}"}}': "0+60x30",
        f'container_cpu_usage_seconds_total{{cpu="total",id="/system.slice/docker-{TWO}.scope"}}': "0+30x30",
        'container_cpu_usage_seconds_total{cpu="total",id="/"}': "0+120x30",
        f'container_memory_working_set_bytes{{id="/system.slice/docker-{TWO}.scope"}}': "4096x30",
        f'mlinfn_container_info{{container_id="{ONE}",name="a",image="i",{NAMES}}}': "1x30",
        f'mlinfn_container_info{{container_id="{TWO}",name="b",image="i",{NAMES.replace("anna", "bob")}}}': "1x30",
    }
    wanted = {'sum(mlinfn:container_cpus:rate5m{user="anna"})': 1, 'sum(mlinfn:container_cpus:rate5m{user="bob"})': 0.5,
              'sum(mlinfn:container_memory_working_set_bytes{user="bob",name="b"})': 4096,
              'count(mlinfn:container_cpus:rate5m)': 2}  # fmt: skip
    tried(tmp_path, program, trial("containers", series, "20m", **wanted))


def test_the_programs_take_what_is_written_for_them(program, tmp_path):
    settings = Settings(monitoring={"alerts": MAIL, "cadvisor": "registry.example.org/cadvisor:v0.54.1"})
    put(tmp_path, "thresholds.yaml", monitoring_config.thresholds(settings))
    put(tmp_path, "alertmanager.yml", monitoring_config.alertmanager(settings))
    wanted = monitoring_config.prometheus(settings, (*compose.SERVICES, *compose.PROFILES))
    wanted["rule_files"] = FILES
    put(tmp_path, "prometheus.yml", wanted)
    said = program("bash", "-ec", "mkdir /run/secrets; touch /run/secrets/prometheus_token; cd /rules; promtool check "
                   "config --lint=all --lint-fatal prometheus.yml; amtool check-config alertmanager.yml")
    assert "1 receivers" in said
