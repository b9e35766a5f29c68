"""The machine as a whole, as node-exporter sees it."""

from __future__ import annotations

from .board import Board, Panel, Row

DISK_USED = "1 - node_filesystem_avail_bytes / node_filesystem_size_bytes"
NOW = (
    Panel(
        "Processors", "How busy all processors are together.", "percentunit",
        {"busy": '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))'},
        look="number", width=4, limits=(0.8, 0.95),
    ),
    Panel(
        "Memory", "What is in use, without files that the kernel only keeps at hand.", "percentunit",
        {"in use": "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"},
        look="number", width=4, limits=(0.85, 0.95),
    ),
    Panel(
        "Memory promised to labs", "Limits of all labs that run. Above 100 % not all of them can have theirs at once.",
        "percentunit",
        {"promised": "(sum(mlinfn_lab_memory_limit_bytes) or vector(0)) / scalar(node_memory_MemTotal_bytes)"},
        look="number", width=4, limits=(0.9, 1.1),
    ),
    Panel(
        "Fullest disk", "The part that is used of the disk that has least left.", "percentunit",
        {"used": f"max({DISK_USED})"}, look="number", width=4, limits=(0.85, 0.95),
    ),
    Panel("Labs", "Labs that run.", "short", {"labs": "count(mlinfn_container_info) or vector(0)"},
          look="number", width=4),
    Panel("Up for", "Since the machine was started.", "s", {"up": "time() - node_boot_time_seconds"},
          look="number", width=4),
)  # fmt: skip
PROCESSORS = (
    Panel(
        "What processors do", "Parts of all processors. Much iowait: disks are too slow. Steal: the host of this "
        "virtual machine gave the time to others.", "percentunit",
        {"{{mode}}": 'avg by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval]))'}, look="areas",
    ),
    Panel(
        "Load", "Processes that run or wait, beside the number of processors. Far above it for long: it is too small.",
        "short", {"1 minute": "node_load1", "15 minutes": "node_load15",
                  "processors": 'count(node_cpu_seconds_total{mode="idle"})'},
    ),
    Panel(
        "Memory", "Up to what the machine has. What is only kept at hand is given back as soon as somebody needs it.",
        "bytes", {"in use": "node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes",
                  "kept at hand": "node_memory_MemAvailable_bytes - node_memory_MemFree_bytes",
                  "free": "node_memory_MemFree_bytes"}, look="areas",
    ),
    Panel(
        "Waiting", "Part of the time in which something could not go on for want of it. Memory above a few percent "
        "for long: the machine is about to run out.", "percentunit",
        {"processors": "rate(node_pressure_cpu_waiting_seconds_total[$__rate_interval])",
         "memory": "rate(node_pressure_memory_waiting_seconds_total[$__rate_interval])",
         "disks": "rate(node_pressure_io_waiting_seconds_total[$__rate_interval])"},
    ),
    Panel(
        "Ended for want of memory", "Processes that the kernel ended, within the hour before. Also those in a lab that "
        "reached its own limit.", "short", {"ended": "increase(node_vmstat_oom_kill[1h])"}, look="steps",
    ),
    Panel(
        "Clock", "How far it is off, and the most that it may be. Logins and backups need a clock that is right.", "s",
        {"off by": "node_timex_offset_seconds", "at most": "node_timex_maxerror_seconds"},
    ),
)  # fmt: skip
DISKS = (
    Panel("Space used", "Part of each disk that is used.", "percentunit", {"{{mountpoint}}": DISK_USED}),
    Panel("Space left", "For everybody but root.", "bytes", {"{{mountpoint}}": "node_filesystem_avail_bytes"}),
    Panel(
        "Files used", "Part of the files that a disk can hold (inodes). At 100 % none can be made, although there is "
        "space.", "percentunit", {"{{mountpoint}}": "1 - node_filesystem_files_free / (node_filesystem_files > 0)"},
    ),
    Panel(
        "Read and written", "By all programs together.", "binBps",
        {"{{device}} read": "rate(node_disk_read_bytes_total[$__rate_interval])",
         "{{device}} written": "rate(node_disk_written_bytes_total[$__rate_interval])"},
    ),
    Panel(
        "Disks at work", "Part of the time in which a disk had something to do. At 100 % others wait for it.",
        "percentunit", {"{{device}}": "rate(node_disk_io_time_seconds_total[$__rate_interval])"},
    ),
)  # fmt: skip
NETWORK = (
    Panel(
        "Traffic", "Through the machine's own interfaces.", "binBps",
        {"{{device}} in": "rate(node_network_receive_bytes_total[$__rate_interval])",
         "{{device}} out": "rate(node_network_transmit_bytes_total[$__rate_interval])"},
    ),
    Panel(
        "Lost packets", "Those with errors and those that were dropped. There should be hardly any.", "pps",
        {"{{device}} in": "rate(node_network_receive_errs_total[$__rate_interval])"
                          " + rate(node_network_receive_drop_total[$__rate_interval])",
         "{{device}} out": "rate(node_network_transmit_errs_total[$__rate_interval])"
                           " + rate(node_network_transmit_drop_total[$__rate_interval])"},
    ),
)  # fmt: skip
BOARD = Board(
    "machine", "Machine", "How the machine is doing as a whole.",
    (Row("Now", NOW), Row("Processors and memory", PROCESSORS), Row("Disks", DISKS), Row("Network", NETWORK)),
)  # fmt: skip
