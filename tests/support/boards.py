"""What the dashboards ask, as Grafana would send it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from support.places import CHECKOUT
from support.wait import until

BOARDS = [json.loads(path.read_text()) for path in sorted((CHECKOUT / "grafana/dashboards").glob("*.json"))]
QUERIES = [(board["title"], panel["title"], target["legendFormat"], target["expr"])
           for board in BOARDS for panel in board["panels"] for target in panel.get("targets", ())]  # fmt: skip
"""Board, panel, legend and PromQL."""
Ask = Callable[[str], Sequence[Mapping[str, Any]]]
"""PromQL -> the series of Prometheus's answer."""
VARIABLES = {"$__rate_interval": "1m", "$user": ".*"}


def written(query: str) -> str:
    """As Grafana sends it."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert not re.search(r"\$[_a-z]", query), query
    return query


def lacking(ask: Ask, legend: str, query: str) -> str:
    """What is not there: any data, or a label of the legend; empty if nothing is."""
    found = ask(written(query))
    labels = {name for each in found for name in each["metric"]}
    missing = set(re.findall(r"{{(\w+)}}", legend)) - labels
    return "data" if not found else ", ".join(sorted(missing))


def until_none_lacks(ask: Ask, queries: Sequence[tuple[str, ...]], timeout_s: float) -> None:
    """Nothing, once all have data. Raises AssertionError with those that have none."""
    waiting = list(queries)

    def all_have() -> bool:
        waiting[:] = [query for query in waiting if lacking(ask, *query[2:])]
        return not waiting

    try:
        until(all_have, timeout_s, "data for every query", every_s=0.5)
    except TimeoutError as late:
        raise AssertionError("\n".join(f"{each}: no {lacking(ask, *each[2:])}" for each in waiting)) from late
