"""What labs use, by the person whose they are. Without names (`monitoring.per_person`) they are told apart by image."""

from __future__ import annotations

from .board import WHOLE, Board, Choice, Panel, Row

MINE = '{user=~"$user"}'
LAB = "user, server, room, profile"
WHO = "{{user}} {{server}} ({{profile}})"
CPUS = f"sum by ({LAB}) (rate(mlinfn_lab_cpu_seconds_total{MINE}[$__rate_interval]))"


def of_lab(series: str) -> str:
    """PromQL: a rate that cAdvisor knows by the container's id, by the person whose container that is."""
    by_id = f"sum by (id) (rate({series}[$__rate_interval]))"
    named = f'label_replace({by_id}, "container_id", "$1", "id", ".*([0-9a-f]{{64}}).*")'
    return f"{named} * on (container_id) group_left ({LAB}) mlinfn_container_info{MINE}"


PEOPLE = (
    Panel(
        "Processors", "How many each person keeps busy, in all their labs.", "short",
        {"{{user}}": f"mlinfn:person_cpus:rate5m{MINE}"}, look="areas",
    ),
    Panel(
        "Memory", "What each person's labs hold, without files that the kernel takes back first.", "bytes",
        {"{{user}}": f"mlinfn:person_memory_bytes{MINE}"}, look="areas",
    ),
    Panel(
        "Processors by group", "Who is in two groups counts in both.", "short",
        {"{{group}}": "mlinfn:group_cpus:rate5m"},
    ),
    Panel(
        "Memory by group", "Who is in two groups counts in both.", "bytes",
        {"{{group}}": "mlinfn:group_memory_bytes"},
    ),
)  # fmt: skip
LABS = (
    Panel(
        "Labs that run", "Each with what it uses and may use.", "short",
        {
            "Processors": CPUS,
            "Of": f"sum by ({LAB}) (mlinfn_lab_cpu_limit{MINE})",
            "Memory": f"sum by ({LAB}) (mlinfn_lab_memory_working_set_bytes{MINE})",
            "Of memory": f"sum by ({LAB}) (mlinfn_lab_memory_limit_bytes{MINE})",
            "Processes": f"sum by ({LAB}) (mlinfn_lab_processes{MINE})",
            "Runs for": f"time() - min by ({LAB}) (mlinfn_lab_started_timestamp_seconds{MINE})",
        },
        look="table", width=WHOLE, units={"Memory": "bytes", "Of memory": "bytes", "Runs for": "s"},
    ),
    Panel(
        "Memory, of its limit", "A lab at 100 % has processes ended by the kernel.", "percentunit",
        {WHO: f"mlinfn_lab_memory_working_set_bytes{MINE} / (mlinfn_lab_memory_limit_bytes{MINE} > 0)"},
    ),
    Panel(
        "Processors, of its limit", "A lab at 100 % would be faster with more.", "percentunit",
        {WHO: f"{CPUS} / sum by ({LAB}) (mlinfn_lab_cpu_limit{MINE} > 0)"},
    ),
    Panel(
        "Network", "What came to each lab, and what it sent.", "binBps",
        {f"{WHO} in": f"rate(mlinfn_lab_network_receive_bytes_total{MINE}[$__rate_interval])",
         f"{WHO} out": f"rate(mlinfn_lab_network_transmit_bytes_total{MINE}[$__rate_interval])"},
    ),
    Panel("Processes", "Processes and threads of each lab.", "short", {WHO: f"mlinfn_lab_processes{MINE}"}),
    Panel(
        "Ended for want of memory", "Processes of a lab that the kernel ended, within the hour before. A bigger lab "
        "would help.", "short", {WHO: f"increase(mlinfn_lab_out_of_memory_total{MINE}[1h])"}, look="steps",
    ),
)  # fmt: skip
CADVISOR = (
    Panel(
        "Processors", "The same as above, as the kernel counts it for the container.", "short",
        {WHO: f"mlinfn:container_cpus:rate5m{MINE}"},
    ),
    Panel(
        "Memory", "The same as above, as the kernel counts it for the container.", "bytes",
        {WHO: f"mlinfn:container_memory_working_set_bytes{MINE}"},
    ),
    Panel("Read from disks", "By each lab.", "binBps", {WHO: of_lab("container_fs_reads_bytes_total")}),
    Panel("Written to disks", "By each lab.", "binBps", {WHO: of_lab("container_fs_writes_bytes_total")}),
    Panel(
        "Held back", "Part of the time in which a lab wanted more processors than its limit lets it have.",
        "percentunit", {WHO: of_lab("container_cpu_cfs_throttled_periods_total")
                        + f" / ({of_lab('container_cpu_cfs_periods_total')} > 0)"},
    ),
)  # fmt: skip
BOARD = Board(
    "containers", "Containers", "What labs use, and who uses it.",
    (Row("People", PEOPLE), Row("Labs", LABS), Row("As cAdvisor sees them, where it runs", CADVISOR)),
    (Choice("user", "Person", "label_values(mlinfn_lab_processes, user)"),),
)  # fmt: skip
