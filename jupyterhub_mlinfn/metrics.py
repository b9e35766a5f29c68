"""What /hub/metrics shows of ours: names and help texts. Whoever knows a value sets it."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

IDENTITY_SERVICE_UP = Gauge(
    "mlinfn_identity_service_up", "1 while the identity service answers as it should, 0 while it does not", ["issuer"]
)
REFRESHES = Counter(
    "mlinfn_token_refreshes", "Looks at people with a lab: well, out (not allowed any more), trouble (of the identity "
    "service), error (of ours)", ["result"],
)  # fmt: skip
PEOPLE_OUT = Counter("mlinfn_people_out", "People whose labs were to be stopped because they are not allowed any more")
NEXT_EXPIRY = Gauge(
    "mlinfn_token_next_expiry_timestamp_seconds", "When the access token that ends first of those in labs ends; 0 "
    "without any",
)  # fmt: skip
# There from the beginning, so that an alert on the first failure has something to compare with.
for result in ("well", "out", "trouble", "error"):
    REFRESHES.labels(result)

GPU_DEVICES = "mlinfn_gpu_devices", "GPUs that this machine lends"
GPU_SLOTS = "mlinfn_gpu_slots", "Labs that fit on them, by how many share a GPU"
GPU_LENT = "mlinfn_gpu_lent", "Slots that are taken, those of containers that are not ours included"
GPU_WAITING = "mlinfn_gpu_waiting", "Starts that wait in line; those that any kind would do for count for each"
GPU_WAIT = Histogram(
    "mlinfn_gpu_wait_seconds", "From asking for a GPU until it was given", ["class"],
    buckets=(0.1, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200),
)  # fmt: skip
GPU_SECONDS = Counter(
    "mlinfn_gpu_seconds", "Time for which labs held GPUs; one of N sharers counts 1/N. Who is in several groups counts "
    "for the first by name", ["user", "group", "class"],
)  # fmt: skip

BACKUP_LAST_SUCCESS = "mlinfn_backup_last_success_timestamp_seconds", "When the last good run on a target began, or 0"
BACKUP_AGE = "mlinfn_backup_age_seconds", "Age of the newest good snapshots of a target"
BACKUP_LAST_VERIFIED = (
    "mlinfn_backup_last_verified_timestamp_seconds", "When a sample of a target was last restored and compared, or 0"
)  # fmt: skip
BACKUP_VERIFIED_FILES = "mlinfn_backup_verified_files", "Files in that sample"
BACKUP_SIZE = "mlinfn_backup_size_bytes", "What the repository of a target takes"
BACKUP_ADDED = "mlinfn_backup_added_bytes", "What the newest snapshots added to it"
BACKUP_UNREAD = "mlinfn_backup_unread_files", "Files that the newest snapshots lack because they could not be read"
BACKUP_DURATION = "mlinfn_backup_duration_seconds", "How long the last good run took"
BACKUP_UP = "mlinfn_backup_up", "1 if the last run on a target ended well, 0 if not"
BACKUP_FAILURES = "mlinfn_backup_failures", "Runs on a target that did not end well"


def gpu_given(slug: str, waited_s: float) -> None:
    """Nothing; a GPU of this class was given to who asked so long ago."""
    GPU_WAIT.labels(slug).observe(waited_s)
