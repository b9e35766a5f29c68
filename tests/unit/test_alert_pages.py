"""What an alert says: each has a sentence, what to do, and a page that has it; and what it compares with is there."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML
from support.places import CHECKOUT

from jupyterhub_mlinfn import metrics
from jupyterhub_mlinfn.cli import monitoring_config
from jupyterhub_mlinfn.settings import Settings

FOLDER = CHECKOUT / "compose" / "prometheus"
TEXT = (FOLDER / "alerts.yaml").read_text()
ALERTS = {rule["alert"]: rule for group in YAML(typ="safe").load(TEXT)["groups"] for rule in group["rules"]}
PAGE = "docs/how-to/when-an-alert-comes.md"
HEADINGS = re.findall(r"^## (\w+)$", (CHECKOUT / PAGE).read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_and_what_to_do(name):
    said = ALERTS[name]["annotations"]
    assert set(said) == {"summary", "todo", "page"}
    assert said["page"] == f"{PAGE}#{name.lower()}"
    assert said["summary"].strip()[-1] == said["todo"].strip()[-1] == "."
    assert ALERTS[name]["labels"]["severity"] in ("warning", "critical")


def test_every_alert_is_on_the_page_and_no_other():
    assert list(ALERTS) == HEADINGS


def test_every_name_of_ours_is_one_that_we_tell():
    rules = TEXT + (FOLDER / "records.yaml").read_text()
    told = {series.name for series in metrics.DECLARED} | set(re.findall(r"record: (\S+)", rules))
    asked = set(re.findall(r"\b(?:mlinfn|dirsize|jupyterhub)[_:][\w:]+", " ".join(re.findall(r"expr: [^#]+", rules))))
    assert asked - told - {"mlinfn:threshold"} == set()


def test_every_threshold_is_used_and_no_other():
    rules = monitoring_config.thresholds(Settings())["groups"][0]["rules"]
    there = {rule["labels"]["of"]: rule["expr"] for rule in rules}
    assert set(re.findall(r'mlinfn:threshold\{of="(\w+)"\}', TEXT)) == set(there)
    assert (there["backup_age"], there["disk_free"], there["disk_full"]) == (
        "vector(172800)", "vector(0.05)", "vector(86400)")  # fmt: skip
