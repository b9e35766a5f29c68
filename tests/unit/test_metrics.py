"""What is told to Prometheus is what its reference page says, and is told in its own words."""

from __future__ import annotations

import re
import time

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from support.places import CHECKOUT

from jupyterhub_mlinfn import metrics

PAGE = (CHECKOUT / "docs/reference/metrics.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.+) \|$")


def documented() -> list[metrics.Series]:
    """The rows of the reference page; the first word of each heading says whose they are."""
    found, page = [], ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            page = line.split()[1].rstrip(":")
        elif row := ROW.match(line):
            found.append(metrics.Series(row[1], row[4], tuple(re.findall(r"`(\w+)`", row[3])), row[2], page))
    return found


def test_reference_page_says_what_there_is():
    assert documented() == metrics.DECLARED


def test_names_say_their_units_and_what_counts_up_says_so():
    for each in metrics.DECLARED:
        assert each.name.endswith("_total") == (each.kind == "counter"), each.name
        assert not re.search(r"_(ms|kb|mb|gb|minutes|hours|percent)(_|$)", each.name), each.name
    assert len({each.name for each in metrics.DECLARED}) == len(metrics.DECLARED)


def test_what_is_kept_here_is_on_the_page_of_jupyterhub():
    shown = {family.name for family in REGISTRY.collect()}
    assert {"mlinfn_token_refreshes", "mlinfn_gpu_wait_seconds", "mlinfn_identity_service_up"} <= shown


def test_values_are_told_with_the_moment_of_their_reading():
    series = metrics.Series("mlinfn_of_a_test_total", "A test's", ("user",), "counter", "hub")
    text = metrics.page([series.read([(["anna"], 2.5, 1700000000.25), (["bob"], 1)])])
    families = {each.name: each for each in text_string_to_metric_families(text)}
    assert families.pop("process_start_time_seconds").samples[0].value < time.time(), "so that restarts are seen"
    (family,) = [each for name, each in families.items() if not name.startswith("process_")]
    assert [(each.labels["user"], each.value, each.timestamp) for each in family.samples] == [
        ("anna", 2.5, 1700000000.25), ("bob", 1, None)]  # fmt: skip
