"""Grafana's dashboards: the files are what the boards say, and a panel lacks nothing that whoever looks at it needs."""

from __future__ import annotations

import json
import re
import sys
from itertools import combinations

import pytest
from grafana_foundation_sdk.models import units
from support.places import CHECKOUT

from jupyterhub_mlinfn import metrics

FILES = sorted((CHECKOUT / "grafana/dashboards").glob("*.json"))
OURS, FIELD = re.compile(r"\b(?:mlinfn|dirsize)[_:][\w:]+"), re.compile(r"\bDCGM_\w+")
RECORDED = set(re.findall(r"record: (\S+)", (CHECKOUT / "compose/prometheus/records.yaml").read_text()))
FIELDS = set(FIELD.findall((CHECKOUT / "compose/dcgm/mlinfn.csv").read_text()))
UNITS = {value for value in vars(units).values() if isinstance(value, str)}
ASKED = {"type": "prometheus", "uid": "${datasource}"}


def board(path) -> dict:
    return json.loads(path.read_text())


def panels(path) -> list[dict]:
    """Those with queries."""
    return [panel for panel in board(path)["panels"] if panel["type"] != "row"]


every_board = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_files_are_what_the_boards_say():
    sys.path.insert(0, str(CHECKOUT / "grafana"))
    try:
        from boards.files import texts
    finally:
        sys.path.pop(0)
    there = {path.name: path.read_text() for path in FILES}
    assert there == texts(), "They are old: .venv/bin/python grafana/build"


def test_boards_are_those_that_are_linked_to():
    assert [(path.stem, board(path)["uid"], board(path)["title"]) for path in FILES] == [
        ("containers", "mlinfn-containers", "Containers"), ("gpus", "mlinfn-gpus", "GPUs"),
        ("health", "mlinfn-health", "Backups and health"), ("hub", "mlinfn-hub", "Hub"),
        ("machine", "mlinfn-machine", "Machine"),
    ]  # fmt: skip


@every_board
def test_every_panel_says_what_it_is(path):
    for panel in panels(path):
        assert panel["title"].strip(), panel
        assert re.search(r"\w.*\.$", panel["description"]), panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["legendFormat"].strip() for target in panel["targets"]), panel["title"]


@every_board
def test_every_unit_is_one_that_grafana_has(path):
    for panel in panels(path):
        field = panel["fieldConfig"]
        others = [each["value"] for override in field["overrides"] for each in override["properties"]
                  if each["id"] == "unit"]  # fmt: skip
        assert {field["defaults"]["unit"], *others} <= UNITS, panel["title"]


@every_board
def test_every_query_goes_to_the_prometheus_that_is_chosen(path):
    assert board(path)["templating"]["list"][0]["name"] == "datasource"
    for panel in panels(path):
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [ASKED] * (
            len(panel["targets"]) + 1), panel["title"]  # fmt: skip
    for choice in board(path)["templating"]["list"][1:]:
        assert choice["datasource"] == ASKED


@every_board
def test_every_name_of_ours_is_one_that_we_tell(path):
    queries = " ".join(target["expr"] for panel in panels(path) for target in panel["targets"])
    told = {series.name for series in metrics.DECLARED} | RECORDED | FIELDS
    asked = {*OURS.findall(queries), *FIELD.findall(queries)} - told
    assert {name for name in asked if re.sub("_(bucket|count)$", "", name) not in told} == set()


@every_board
def test_panels_have_numbers_and_places_of_their_own(path):
    everything = board(path)["panels"]
    numbers = [panel["id"] for panel in everything]
    assert sorted(numbers) == sorted(set(numbers))
    places = [(panel["title"], panel["gridPos"]) for panel in everything]
    assert all(place["x"] + place["w"] <= 24 for _, place in places)
    assert [(one, other) for (one, here), (other, there) in combinations(places, 2) if _overlap(here, there)] == []


def _overlap(here: dict, there: dict) -> bool:
    return all(here[start] < there[start] + there[long] and there[start] < here[start] + here[long]
               for start, long in (("x", "w"), ("y", "h")))  # fmt: skip
