"""For the keeper: whether all is well, how backups stand, and whose files take the space."""

from __future__ import annotations

from .board import Board, Panel, Row

WELL = (
    Panel(
        "Alerts", "What is wrong now. `mlinfn alerts` says what to do about each.", "short",
        {"How many": 'sum by (alertname, severity, alertstate) (ALERTS{alertstate="firing"})'}, look="table",
    ),
    Panel(
        "Services", "Whether each gives its numbers. Red: it is away, too slow, or what it says makes no sense.",
        "short", {"{{job}}": "min by (job) (up)"}, look="states",
    ),
    Panel(
        "What services say of others", "Without the identity service nobody logs in, without the rules no lab "
        "starts, without the driver none with a GPU. Programs that read a repository that is away hang.", "short",
        {"identity service {{issuer}}": "mlinfn_identity_service_up", "rules around labs": "mlinfn_guard_up",
         "driver of GPUs": "mlinfn_gpu_driver_up", "CVMFS {{repository}}": "mlinfn_cvmfs_up"}, look="states",
    ),
    Panel(
        "CVMFS answered", "Since each repository last did.", "s",
        {"{{repository}}": "time() - (mlinfn_cvmfs_last_answer_timestamp_seconds > 0)"},
    ),
    Panel(
        "Rules around labs put back", "Within the day before. Something else on the machine removes them.", "short",
        {"put back": "increase(mlinfn_guard_repairs_total[1d])"}, look="steps",
    ),
    Panel(
        "Tokens in labs", "How long the access token that ends first is good for. Below 0: somebody has an old one.",
        "s", {"left": "(mlinfn_token_next_expiry_timestamp_seconds > 0) - time()"},
    ),
)  # fmt: skip
BACKUPS = (
    Panel("Age", "Of the newest good snapshots of each target.", "s", {"{{target}}": "mlinfn_backup_age_seconds"}),
    Panel(
        "Restored and compared", "Since a sample of each target was.", "s",
        {"{{target}}": "time() - (mlinfn_backup_last_verified_timestamp_seconds > 0)"},
    ),
    Panel("Last run", "Whether it ended well.", "short", {"{{target}}": "mlinfn_backup_up"}, look="states"),
    Panel("Failures", "Runs that ended in trouble, within the day before.", "short",
          {"{{target}}": "increase(mlinfn_backup_failures_total[1d])"}, look="steps"),
    Panel("Size", "What each target takes.", "bytes", {"{{target}}": "mlinfn_backup_size_bytes"}),
    Panel("Added", "What the newest snapshots added to it.", "bytes", {"{{target}}": "mlinfn_backup_added_bytes"}),
    Panel("How long a run takes", "The last good one.", "s", {"{{target}}": "mlinfn_backup_duration_seconds"}),
    Panel("Files left out", "Those that the newest snapshots lack because they could not be read.", "short",
          {"{{target}}": "mlinfn_backup_unread_files"}),
)  # fmt: skip
STORAGE = (
    Panel(
        "Homes", "The twenty that take most.", "bytes",
        {"{{directory}}": 'topk(20, dirsize_total_size_bytes{kind="users"})'}, look="ranking",
    ),
    Panel(
        "Folders of groups and rooms, and what is shown to all", "The twenty that take most.", "bytes",
        {"{{kind}} {{directory}}": 'topk(20, dirsize_total_size_bytes{kind!="users"})'}, look="ranking",
    ),
    Panel("Space", "By where files are.", "bytes", {"{{kind}}": "sum by (kind) (dirsize_total_size_bytes)"},
          look="areas"),
    Panel("Files", "By where they are.", "short", {"{{kind}}": "sum by (kind) (dirsize_entries_count)"},
          look="areas"),
    Panel("Looked through", "Since all folders of a kind were. Sizes are of then.", "s",
          {"{{kind}}": "time() - (mlinfn_dirsize_round_timestamp_seconds > 0)"}),
)  # fmt: skip
BOARD = Board(
    "health", "Backups and health", "Whether all is well, how backups stand, and whose files take the space.",
    (Row("Is all well?", WELL), Row("Backups", BACKUPS), Row("Storage", STORAGE)),
)  # fmt: skip
