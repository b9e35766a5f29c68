"""The hub: who is here, what is started, how long that takes and what goes wrong."""

from __future__ import annotations

from .board import Board, Panel, Row


def quantile(part: float, by: str, series: str) -> str:
    """PromQL: below what this part of the values of a histogram lies, within the hour before."""
    return f"histogram_quantile({part}, sum by (le, {by}) (increase({series}_bucket[1h])))"


PEOPLE = (
    Panel("Labs", "That run now.", "short", {"labs": "jupyterhub_running_servers"}, look="number", width=6),
    Panel("Today", "People who did something within 24 hours.", "short",
          {"people": 'jupyterhub_active_users{period="24h"}'}, look="number", width=6),
    Panel("This month", "People who did something within 30 days.", "short",
          {"people": 'jupyterhub_active_users{period="30d"}'}, look="number", width=6),
    Panel("Known", "People that the hub knows.", "short", {"people": "jupyterhub_total_users"},
          look="number", width=6),
    Panel("Active people", "Who did something within that time.", "short",
          {"within {{period}}": "jupyterhub_active_users"}),
    Panel("Labs, by image", "That run.", "short", {"{{profile}}": "count by (profile) (mlinfn_container_info)"},
          look="areas"),
    Panel("Rooms", "By what they do now.", "short", {"{{state}}": "mlinfn_rooms"}),
    Panel("In rooms", "People who are in a room now.", "short", {"{{room}}": "mlinfn_room_inside"}, look="areas"),
)  # fmt: skip
STARTS = (
    Panel(
        "Starts", "Within the hour before, by how they ended: refused is a site's rule, failed is trouble.", "short",
        {"{{outcome}}": "sum by (outcome) (increase(mlinfn_starts_total[1h]))"}, look="steps",
    ),
    Panel(
        "Why starts did not come to a lab", "Within the hour before.", "short",
        {"{{outcome}}: {{reason}}": 'sum by (outcome, reason) (increase(mlinfn_starts_total{outcome!="started"}[1h]))'},
        look="steps",
    ),
    Panel(
        "Starts that failed, by image", "Within the day before.", "short",
        {"{{profile}}": 'sum by (profile) (increase(mlinfn_starts_total{outcome="failed"}[1d]))'}, look="ranking",
    ),
    Panel(
        "Starts, by image", "Within the day before.", "short",
        {"{{profile}}": "sum by (profile) (increase(mlinfn_starts_total[1d]))"}, look="ranking",
    ),
)  # fmt: skip
TIMES = (
    Panel(
        "How long a start takes", "From the click to a lab that answers.", "s",
        {"half of them less": 'histogram_quantile(0.5, sum by (le) (increase(mlinfn_start_seconds_bucket'
                              '{phase="total"}[1h])))',
         "nine of ten less": 'histogram_quantile(0.9, sum by (le) (increase(mlinfn_start_seconds_bucket'
                             '{phase="total"}[1h])))'},
    ),
    Panel(
        "What takes the time", "Half of the starts take less: waiting in line, fetching the image, making the "
        "container, and the lab itself.", "s", {"{{phase}}": quantile(0.5, "phase", "mlinfn_start_seconds")},
    ),
    Panel(
        "What takes the time when it is slow", "Nine of ten starts take less.", "s",
        {"{{phase}}": quantile(0.9, "phase", "mlinfn_start_seconds")},
    ),
    Panel(
        "Start times, by image", "Nine of ten starts take less.", "s",
        {"{{profile}}": 'histogram_quantile(0.9, sum by (le, profile) (increase(mlinfn_start_seconds_bucket'
                        '{phase="total"}[1h])))'},
    ),
    Panel("Images fetched", "Within the hour before.", "short",
          {"{{outcome}}": "sum by (outcome) (increase(mlinfn_image_pull_seconds_count[1h]))"}, look="steps"),
    Panel("How long fetching takes", "Nine of ten take less.", "s",
          {"{{outcome}}": quantile(0.9, "outcome", "mlinfn_image_pull_seconds")}),
)  # fmt: skip
HUB = (
    Panel("Requests", "What the hub answers, by HTTP status. Those from 500 on are faults.", "reqps",
          {"{{code}}": "sum by (code) (rate(jupyterhub_request_duration_seconds_count[$__rate_interval]))"},
          look="areas"),
    Panel(
        "Answer times", "Nine of ten requests take less. Above a second for long: the hub has too much to do.", "s",
        {"nine of ten less": "histogram_quantile(0.9, sum by (le) (rate(jupyterhub_request_duration_seconds_bucket"
                             "[$__rate_interval])))"},
    ),
    Panel(
        "How fast the hub turns", "It should come round every 50 ms; else something blocks it for everybody.",
        "s", {"nine of ten less": "histogram_quantile(0.9, sum by (le) (rate("
                                  "jupyterhub_event_loop_interval_seconds_bucket[$__rate_interval])))"},
    ),
    Panel(
        "Tokens of people with a lab", "Looks at them within the hour before: out is not allowed any more, trouble is "
        "the identity service's.", "short",
        {"{{result}}": "sum by (result) (increase(mlinfn_token_refreshes_total[1h]))"}, look="steps",
    ),
    Panel("Requests to labs and services", "What the proxy passed on, by HTTP status. 503: nobody answered there.",
          "reqps", {"{{status}}": "sum by (status) (rate(requests_proxy[$__rate_interval]))"}, look="areas"),
)  # fmt: skip
BOARD = Board(
    "hub", "Hub", "Who is here, what is started, and what goes wrong.",
    (Row("People", PEOPLE), Row("Starts", STARTS), Row("Times", TIMES), Row("The hub itself", HUB)),
)  # fmt: skip
