"""What a keeper looks at: whether all is well, how backups stand, and whose files take the space."""

from __future__ import annotations

from .board import Board, Panel, Row

WELL = (
    Panel(
        "Alerts", "What is wrong now. What to do about each is in docs/how-to.", "short",
        {"How many": 'sum by (alertname, severity, alertstate) (ALERTS{alertstate="firing"})'}, look="table",
    ),
    Panel(
        "Services", "Whether each gives its numbers. Red: it is away, too slow, or what it says makes no sense.",
        "short", {"{{job}}": "min by (job) (up)"}, look="states",
    ),
    Panel("Identity service", "Whether it answers as it should. Without it nobody logs in.", "short",
          {"{{issuer}}": "mlinfn_identity_service_up"}, look="states"),
    Panel("Firewall of labs", "Whether its rules are in place. Without them no lab starts.", "short",
          {"rules": "mlinfn_guard_up"}, look="states"),
    Panel("CVMFS", "Whether each repository answers. Programs that read a stuck one hang.", "short",
          {"{{repository}}": "mlinfn_cvmfs_up"}, look="states"),
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
BOARD = Board(
    "health", "Backups and health", "Whether all is well, how backups stand, and whose files take the space.",
    (Row("Is all well?", WELL), Row("Backups", BACKUPS)),
)  # fmt: skip
