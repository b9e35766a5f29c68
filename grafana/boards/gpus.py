"""GPUs: who has them, and how the cards are. The pool of the hub knows the first, dcgm-exporter the second."""

from __future__ import annotations

from .board import WHOLE, Board, Panel, Row

CARD = "{{gpu}}: {{modelName}} {{GPU_I_PROFILE}}"
MEBIBYTE = "2^20"
"""dcgm-exporter counts memory in them."""


def of_card(field: str) -> str:
    """PromQL: one number for each card or slice. With jobs in its labels, dcgm-exporter says it once for each of them.
    """
    return f"max by (gpu, UUID, modelName, GPU_I_ID, GPU_I_PROFILE) ({field})"


LENT = (
    Panel("Lent", "Places on GPUs that are taken.", "short", {"lent": "sum(mlinfn_gpu_lent)"},
          look="number", width=4),
    Panel("Free", "Places that somebody could have now.", "short",
          {"free": "sum(mlinfn_gpu_slots) - sum(mlinfn_gpu_lent)"}, look="number", width=4),
    Panel("Waiting", "Starts that wait for one.", "short", {"waiting": "max(mlinfn_gpu_waiting)"},
          look="number", width=4, limits=(1, 5)),
    Panel("GPUs", "Of this machine.", "short", {"GPUs": "sum(mlinfn_gpu_devices)"}, look="number", width=4),
    Panel("Hottest", "The warmest card. They slow down by themselves between 80 and 90 degrees.", "celsius",
          {"hottest": "max(DCGM_FI_DEV_GPU_TEMP)"}, look="number", width=4, limits=(80, 88)),
    Panel("Power", "Of all cards together.", "watt",  # a slice has the number of its card
          {"power": "sum(max by (UUID) (DCGM_FI_DEV_POWER_USAGE))"}, look="number", width=4),
    Panel(
        "Lent, by class", "Places that are taken, of those there are.", "short",
        {"{{class}} lent": "mlinfn_gpu_lent", "{{class}} there": "mlinfn_gpu_slots"},
    ),
    Panel(
        "Waiting, by class", "Starts that wait in line. Who would take any kind counts for each.", "short",
        {"{{class}}": "mlinfn_gpu_waiting"},
    ),
    Panel(
        "How long people wait", "From asking for a GPU until it was given, within the day before.", "s",
        {"{{class}}: half of them less": "histogram_quantile(0.5, sum by (le, class) "
                                         "(increase(mlinfn_gpu_wait_seconds_bucket[1d])))",
         "{{class}}: nine of ten less": "histogram_quantile(0.9, sum by (le, class) "
                                        "(increase(mlinfn_gpu_wait_seconds_bucket[1d])))"},
    ),
)  # fmt: skip
HOLDERS = (
    Panel(
        "Who holds which", "The part that is theirs is below 1 where several share a card.", "short",
        {"Part": "sum by (index, class, user, server, room, gpu) (mlinfn_lab_gpu_info)"}, look="table",
    ),
    Panel(
        "How busy each keeps theirs", "GPUs that somebody holds. Near 0 for long: it could be somebody else's.",
        "percentunit",
        {"{{user}} {{server}} {{index}}": "(mlinfn_lab_gpu_info > bool 0) * on (gpu) group_left () "
                                          "mlinfn:gpu_utilisation_ratio"},
    ),
    Panel("Held, by person", "One that several share counts in parts.", "short", {"{{user}}": "mlinfn:person_gpus"},
          look="areas"),
    Panel("Kept busy, by person", "As many whole GPUs as that would be.", "short",
          {"{{user}}": "mlinfn:person_gpus_busy"}, look="areas"),
    Panel("Memory, by person", "Of the cards that they hold.", "bytes", {"{{user}}": "mlinfn:person_gpu_memory_bytes"},
          look="areas"),
    Panel("Held, by group", "Who is in two groups counts in both.", "short", {"{{group}}": "mlinfn:group_gpus"}),
    Panel("GPU-hours of a day, by person", "What they held in the last 24 hours.", "h",
          {"{{user}}": "mlinfn:person_gpu_hours:increase1d"}, look="ranking"),
    Panel("GPU-hours of a day, by group", "Who is in several counts for the first by name.", "h",
          {"{{group}}": "mlinfn:group_gpu_hours:increase1d"}, look="ranking"),
)  # fmt: skip
CARDS = (
    Panel("Busy", "Part of the time in which a card computed. Of slices nobody says it.", "percent",
          {"{{gpu}}: {{modelName}}": of_card("DCGM_FI_DEV_GPU_UTIL")}),
    Panel(
        "Memory used", "Memory of the card that programs hold.", "bytes",
        {CARD: f"{of_card('DCGM_FI_DEV_FB_USED')} * {MEBIBYTE}"},
    ),
    Panel(
        "Memory free", "Memory of the card that nobody holds.", "bytes",
        {CARD: f"{of_card('DCGM_FI_DEV_FB_FREE')} * {MEBIBYTE}"},
    ),
    Panel(
        "Memory used, of all", "Without the little that the driver keeps for itself.", "percentunit",
        {CARD: f"{of_card('DCGM_FI_DEV_FB_USED')} / ({of_card('DCGM_FI_DEV_FB_USED')} + "
               f"{of_card('DCGM_FI_DEV_FB_FREE')})"},
    ),
    Panel("Power", "What each card takes; a slice has the number of its card.", "watt",
          {CARD: of_card("DCGM_FI_DEV_POWER_USAGE")}),
    Panel("Temperature", "Of each card. It slows down by itself when it is too hot.", "celsius",
          {CARD: of_card("DCGM_FI_DEV_GPU_TEMP")}),
    Panel("Clock", "Of the processors on the card. Low while it is busy: it is too hot, or lacks power.", "rotmhz",
          {CARD: of_card("DCGM_FI_DEV_SM_CLOCK")}),
    Panel(
        "Faults", "The number of the driver's last error (XID), 0 without one. 13, 31, 43, 45 and 69 are faults of a "
        "program; with others look into dmesg.", "short", {CARD: of_card("DCGM_FI_DEV_XID_ERRORS")},
    ),
    Panel(
        "Faults now", "All cards with what is wrong with them. 0 is well.", "short",
        {"XID": of_card("DCGM_FI_DEV_XID_ERRORS"), "Memory not mended": of_card("DCGM_FI_DEV_ROW_REMAP_FAILURE"),
         "Memory lost": of_card("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"),
         "Bus retries": of_card("DCGM_FI_DEV_PCIE_REPLAY_COUNTER")}, look="table", width=WHOLE,
    ),
)  # fmt: skip
BOARD = Board(
    "gpus", "GPUs", "Who has which GPU, who waits, and how the cards are.",
    (Row("Lent and waited for", LENT), Row("Who has them", HOLDERS), Row("Cards", CARDS)),
)  # fmt: skip
