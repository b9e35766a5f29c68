"""From a board to the JSON that Grafana reads, by Grafana's own builders."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

with warnings.catch_warnings():  # files that Grafana provisions are of the form that the builders call the old one
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import (
        bargauge,
        common,
        dashboard,
        prometheus,
        stat,
        statetimeline,
        table,
        timeseries,
    )
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    DataSourceRef,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from .board import Board, Choice, Panel

SOURCE = "datasource"
"""The variable of every board that says which Prometheus is asked."""
ASKED = DataSourceRef(type_val="prometheus", uid=f"${{{SOURCE}}}")
TAG = "mlinfn"
LETTERS = "ABCDEFGH"
"""What Grafana calls the queries of a panel."""
HEIGHT, HEIGHT_OF_NUMBER = 8, 4
HIDDEN = ("Time", "__name__", "instance", "job")
"""Columns of tables that say nothing."""
WELL = model.ValueMap({"0": model.ValueMappingResult("away", "red"), "1": model.ValueMappingResult("well", "green")})


def drawn(board: Board) -> str:
    """The text of the board's file."""
    made = (
        dashboard.Dashboard(board.title).uid(f"{TAG}-{board.name}").description(board.about).tags([TAG])
        .editable().refresh("1m").time("now-6h", "now").tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable(SOURCE).label("Prometheus").type("prometheus"))
        .link(dashboard.DashboardLink("Others").type(model.DashboardLinkType.DASHBOARDS).tags([TAG]).keep_time(True)
              .placement(None))
    )  # fmt: skip
    for choice in board.choices:
        made.with_variable(_choice(choice))
    numbers = count(1)
    for row in board.rows:
        made.with_row(dashboard.Row(row.title).id(next(numbers)))
        for panel in row.panels:
            made.with_panel(_panel(panel).id(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _choice(choice: Choice) -> Any:
    """All of them, unless somebody picks some."""
    return (
        dashboard.QueryVariable(choice.name).label(choice.title).datasource(ASKED).query(choice.query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True).include_all(True).all_value(".*").current(model.VariableOption(text="All", value="$__all"))
    )  # fmt: skip


def _panel(panel: Panel) -> Any:
    built = LOOKS[panel.look](panel)
    built.title(panel.title).description(panel.about).unit(panel.unit).datasource(ASKED)
    for letter, (legend, query) in zip(LETTERS, panel.queries.items(), strict=False):
        built.with_target(_target(panel, letter, legend, query))
    return built.span(panel.width).height(HEIGHT_OF_NUMBER if panel.look == "number" else HEIGHT)


def _target(panel: Panel, letter: str, legend: str, query: str) -> Any:
    target = prometheus.Dataquery().ref_id(letter).expr(query).legend_format(legend).datasource(ASKED)
    if panel.look == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    return target.instant() if panel.look == "ranking" else target.range()


def _lines(panel: Panel) -> timeseries.Panel:
    legend = (common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
              .placement(LegendPlacement.BOTTOM))  # fmt: skip
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    return timeseries.Panel().legend(legend).tooltip(tooltip).line_width(1).fill_opacity(10).min(_least(panel))


def _least(panel: Panel) -> float | None:
    """Lines begin at 0, but where they may lie below it."""
    return None if panel.unit == "s" else 0


def _areas(panel: Panel) -> timeseries.Panel:
    return _lines(panel).fill_opacity(60).stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def _steps(panel: Panel) -> timeseries.Panel:
    return _areas(panel).draw_style(GraphDrawStyle.BARS)


def _number(panel: Panel) -> stat.Panel:
    amber, red = panel.limits or (None, None)
    steps = [model.Threshold(None, "green"), model.Threshold(amber, "orange"), model.Threshold(red, "red")]
    shown = steps if panel.limits else [model.Threshold(None, "blue")]
    limits = dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(shown)
    return stat.Panel().thresholds(limits).color_mode(BigValueColorMode.VALUE).reduce_options(_newest())


def _newest() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _ranking(panel: Panel) -> bargauge.Panel:
    return bargauge.Panel().reduce_options(_newest()).min(0)


def _states(panel: Panel) -> statetimeline.Panel:
    return statetimeline.Panel().mappings([WELL]).merge_values(True)


def _table(panel: Panel) -> table.Panel:
    """One line for each set of labels, one column for each query."""
    columns = {f"Value #{letter}": name for letter, name in zip(LETTERS, panel.queries, strict=False)}
    columns["Value"] = next(iter(panel.queries))  # of a single query
    made = table.Panel().with_transformation(_transformed("merge", {})).with_transformation(
        _transformed("organize", {"excludeByName": dict.fromkeys(HIDDEN, True), "renameByName": columns}))  # fmt: skip
    for column, unit in panel.units.items():
        made.override_by_name(column, [model.DynamicConfigValue("unit", unit)])
    return made


def _transformed(kind: str, options: Mapping[str, Any]) -> model.DataTransformerConfig:
    return model.DataTransformerConfig(id_val=kind, options=options)


LOOKS: Mapping[str, Callable[[Panel], Any]] = {
    "lines": _lines, "areas": _areas, "steps": _steps, "number": _number, "ranking": _ranking, "table": _table,
    "states": _states,
}  # fmt: skip
