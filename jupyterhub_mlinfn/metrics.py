"""What this package tells Prometheus: names, help texts, labels. Whoever knows a value sets it, or reads it when asked.

docs/reference/metrics.md is compared with what is declared here. Where names of people are not to be told
(`monitoring.per_person`), the labels `user` and `server` are empty, which for Prometheus is as good as not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Kind = Literal["gauge", "counter", "histogram"]
KEPT = {"gauge": Gauge, "counter": Counter, "histogram": Histogram}
READ = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
LAB = ("user", "server", "room", "profile")


@dataclass(frozen=True)
class Series:
    """One name: what it means, by what it is told apart, and whose page it is on."""

    name: str
    text: str
    labels: tuple[str, ...]
    kind: Kind
    page: str

    def kept(self, **more: Any) -> Any:
        """The object that holds its values in this process, and that JupyterHub's page shows."""
        return KEPT[self.kind](self.name, self.text, self.labels, **more)

    def read(self, values: Iterable[Sequence[Any]]) -> Metric:
        """It with these values: of the labels, the value, and when it was read, if that is not now (epoch seconds)."""
        family = READ[self.kind](self.name, self.text, labels=self.labels)
        for labels, value, *at in values:
            family.add_metric(labels, value, timestamp=at[0] if at else None)
        return family


DECLARED: list[Series] = []


def _told(name: str, text: str, *labels: str, kind: Kind = "gauge", page: str = "hub") -> Series:
    DECLARED.append(Series(name, text, labels, kind, page))
    return DECLARED[-1]


class _Read(Collector):
    def __init__(self, families: Iterable[Metric]):
        self.families = families

    def collect(self) -> Iterator[Metric]:
        """They as they are."""
        yield from self.families


def page(families: Iterable[Metric]) -> str:
    """What a service of ours answers to Prometheus, with since when it runs and what its process takes."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Read(families))
    return generate_latest(registry).decode()


IDENTITY_SERVICE_UP = _told(
    "mlinfn_identity_service_up", "1 while the identity service answers as it should, 0 while it does not", "issuer"
).kept()
REFRESHES = _told(
    "mlinfn_token_refreshes_total", "Looks at people with a lab: well, out (not allowed any more), trouble (of the "
    "identity service), error (of ours)", "result", kind="counter",
).kept()  # fmt: skip
PEOPLE_OUT = _told(
    "mlinfn_people_out_total", "People whose labs were to be stopped because they are not allowed any more",
    kind="counter",
).kept()  # fmt: skip
NEXT_EXPIRY = _told(
    "mlinfn_token_next_expiry_timestamp_seconds", "When the access token that ends first of those in labs ends; 0 "
    "without any",
).kept()  # fmt: skip
# There from the beginning, so that an alert on the first failure has something to compare with.
for result in ("well", "out", "trouble", "error"):
    REFRESHES.labels(result)

STARTS = _told(
    "mlinfn_starts_total", "Starts of labs by how they ended: started, refused (what was asked may not be had), failed "
    "or cancelled; profile is empty where it was refused at once", "profile", "outcome", "reason", kind="counter",
).kept()  # fmt: skip
START_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
START_SECONDS = _told(
    "mlinfn_start_seconds", "How long starts took that ended well: queue (for the guard's word, a GPU, a turn), pull, "
    "create, boot (until the lab answered) and total", "profile", "phase", kind="histogram",
).kept(buckets=START_BUCKETS)  # fmt: skip
PULL_SECONDS = _told(
    "mlinfn_image_pull_seconds", "How long it took to fetch an image, for however many: fetched, or failed", "outcome",
    kind="histogram",
).kept(buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1800))  # fmt: skip
for outcome in ("fetched", "failed"):
    PULL_SECONDS.labels(outcome)

CONTAINER_INFO = _told(
    "mlinfn_container_info", "1 for each lab that runs: joins the series of others, which know the container's id only",
    "container_id", "name", *LAB, "image",
)  # fmt: skip
LAB_CPU = _told("mlinfn_lab_cpu_seconds_total", "CPU time that the lab has used", *LAB, kind="counter")
LAB_CPU_LIMIT = _told("mlinfn_lab_cpu_limit", "CPUs that it may use at most", *LAB)
LAB_MEMORY = _told(
    "mlinfn_lab_memory_working_set_bytes", "Memory that it uses, without files that the kernel takes back first", *LAB
)
LAB_MEMORY_LIMIT = _told("mlinfn_lab_memory_limit_bytes", "Memory that it may use at most", *LAB)
LAB_PROCESSES = _told("mlinfn_lab_processes", "Its processes and threads", *LAB)
LAB_STARTED = _told(
    "mlinfn_lab_started_timestamp_seconds", "When it was started; without names, when the oldest was", *LAB
)
LAB_RECEIVED = _told("mlinfn_lab_network_receive_bytes_total", "Bytes that came to it", *LAB, kind="counter")
LAB_SENT = _told("mlinfn_lab_network_transmit_bytes_total", "Bytes that it sent", *LAB, kind="counter")
LAB_OUT_OF_MEMORY = _told(
    "mlinfn_lab_out_of_memory_total", "How often the kernel ended a process of it for want of memory", *LAB,
    kind="counter",
)  # fmt: skip

LAB_GPU_INFO = _told(
    "mlinfn_lab_gpu_info", "Part of a GPU that the lab holds: 1, or 1/N of one that N may share; index is DCGM's "
    "number, with that of its instance for a slice", "user", "server", "room", "gpu", "index", "class",
)  # fmt: skip
USER_GROUP_INFO = _told(
    "jupyterhub_user_group_info", "1 for each group that somebody, or a room's account, is in; not told without names",
    "user", "group",
)  # fmt: skip
ROOMS = _told("mlinfn_rooms", "Rooms by how they stand: running, starting, stopping or stopped", "state")
ROOM_INSIDE = _told("mlinfn_room_inside", "People of its group who are in a room", "room")

GPU_DEVICES = _told("mlinfn_gpu_devices", "GPUs that this machine lends", "class")
GPU_SLOTS = _told("mlinfn_gpu_slots", "Labs that fit on them, by how many share a GPU", "class")
GPU_LENT = _told("mlinfn_gpu_lent", "Slots that are taken, those of containers that are not ours included", "class")
GPU_WAITING = _told(
    "mlinfn_gpu_waiting", "Starts that wait in line; those that any kind would do for count for each", "class"
)
GPU_WAIT = _told(
    "mlinfn_gpu_wait_seconds", "From asking for a GPU until it was given", "class", kind="histogram"
).kept(buckets=(0.1, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200))  # fmt: skip
GPU_SECONDS = _told(
    "mlinfn_gpu_seconds_total", "Time for which labs held GPUs; one of N sharers counts 1/N. Who is in several groups "
    "counts for the first by name", "user", "group", "class", kind="counter",
).kept()  # fmt: skip

_of_backup = partial(_told, page="backup")
BACKUP_LAST_SUCCESS = _of_backup(
    "mlinfn_backup_last_success_timestamp_seconds", "When the last good run on a target began, or 0", "target"
)
BACKUP_AGE = _of_backup("mlinfn_backup_age_seconds", "Age of the newest good snapshots of a target", "target")
BACKUP_DATABASES = _of_backup(
    "mlinfn_backup_databases_last_success_timestamp_seconds", "When the hub copied its databases that are on a target, "
    "or 0", "target",
)  # fmt: skip
BACKUP_LAST_VERIFIED = _of_backup(
    "mlinfn_backup_last_verified_timestamp_seconds", "When a sample of a target was last restored and compared, or 0",
    "target",
)  # fmt: skip
BACKUP_VERIFIED_FILES = _of_backup("mlinfn_backup_verified_files", "Files in that sample", "target")
BACKUP_SIZE = _of_backup("mlinfn_backup_size_bytes", "What the repository of a target takes", "target")
BACKUP_ADDED = _of_backup("mlinfn_backup_added_bytes", "What the newest snapshots added to it", "target")
BACKUP_UNREAD = _of_backup(
    "mlinfn_backup_unread_files", "Files that the newest snapshots lack because they could not be read", "target"
)
BACKUP_DURATION = _of_backup("mlinfn_backup_duration_seconds", "How long the last good run took", "target")
BACKUP_UP = _of_backup("mlinfn_backup_up", "1 if the last run on a target ended well, 0 if not", "target")
BACKUP_FAILURES = _of_backup(
    "mlinfn_backup_failures_total", "Runs on a target that did not end well", "target", kind="counter"
)

GPU_DRIVER_UP = _told("mlinfn_gpu_driver_up", "1 while NVIDIA's driver answers, 0 while it does not", page="gpus")

CVMFS_UP = _told(
    "mlinfn_cvmfs_up", "1 if the repository is mounted and answered when it was last asked, 0 if not", "repository",
    page="cvmfs-probe",
)  # fmt: skip
CVMFS_ANSWERED = _told(
    "mlinfn_cvmfs_last_answer_timestamp_seconds", "When the repository last answered; 0 if it never did", "repository",
    page="cvmfs-probe",
)  # fmt: skip

_of_dirsize = partial(_told, page="dirsize")
DIRSIZE_BYTES = _of_dirsize(
    "dirsize_total_size_bytes", "What a folder takes on the disk; without names, those of people together", "directory",
    "kind",
)  # fmt: skip
DIRSIZE_ENTRIES = _of_dirsize("dirsize_entries_count", "Files and folders in it, itself included", "directory", "kind")
DIRSIZE_NEWEST = _of_dirsize("dirsize_latest_mtime", "When the newest of them was changed", "directory", "kind")
DIRSIZE_OLDEST = _of_dirsize("dirsize_oldest_mtime", "When the oldest of them was changed", "directory", "kind")
DIRSIZE_ENDED = _of_dirsize(
    "mlinfn_dirsize_round_timestamp_seconds", "When all folders of a kind had last been looked through; 0 before",
    "kind",
)  # fmt: skip

_of_certificate = partial(_told, page="certificate")
CERTIFICATE_EXPIRY = _of_certificate(
    "mlinfn_certificate_expiry_timestamp_seconds", "When the certificate ends that browsers are shown; not told while "
    "there is none", "name",
)  # fmt: skip
CERTIFICATE_REFUSED = _of_certificate(
    "mlinfn_certificate_refused", "1 while the site's files hold a certificate that is not taken, 0 if all is well"
)

GUARD_UP = _told("mlinfn_guard_up", "1 while the kernel has exactly the rules around labs that it should", page="guard")
GUARD_REPAIRS = _told(
    "mlinfn_guard_repairs_total", "How often they had been removed or changed, and were loaded again", kind="counter",
    page="guard",
)  # fmt: skip


def gpus_expected(slugs: Iterable[str]) -> None:
    """Nothing; waits for these classes are told from now on, so that the first one is more than there was before."""
    for slug in slugs:
        GPU_WAIT.labels(slug)


def gpu_given(slug: str, waited_s: float) -> None:
    """Nothing; a GPU of this class was given to who asked so long ago."""
    GPU_WAIT.labels(slug).observe(waited_s)


def image_pulled(is_well: bool, took_s: float) -> None:
    """Nothing; an image was fetched in so many seconds, or was given up after them."""
    PULL_SECONDS.labels("fetched" if is_well else "failed").observe(took_s)
