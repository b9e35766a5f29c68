"""For each alert, series with which it fires and others with which it does not, in promtool's notation.

What dcgm-exporter and cAdvisor say is written by hand from their published formats: neither can be had everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Series = Mapping[str, str]


class Case(NamedTuple):
    """An alert, when it is looked at, and what there is to be seen."""

    alert: str
    at: str
    fires: Series
    quiet: Series
    step: str = "1m"
    """Between two values of a series."""


GB = 10**9
DISK = '{device="/dev/vda",fstype="ext4",mountpoint="/srv"}'
CARD = '{gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA A100",hostname="gpu1"}'
OLD_CARD = CARD.replace("hostname", "Hostname")
LAB = '{user="anna",server="",room="",gpu="GPU-1",index="0",class="a100"}'
HERE = {'up{job="prometheus"}': "1x60"}
TARGET = '{target="/srv/backup"}'


def disk(free: str) -> Series:
    """A disk of 1000 GB with so much free."""
    return {f"node_filesystem_avail_bytes{DISK}": free, f"node_filesystem_size_bytes{DISK}": f"{1000 * GB}x2000",
            f"node_filesystem_readonly{DISK}": "0x2000"}  # fmt: skip


def memory(free: int, stalled: str = "0x60") -> Series:
    """A machine of 100 GB with so much to be had, and the seconds for which all waited for memory."""
    return {"node_memory_MemAvailable_bytes{}": f"{free * GB}x60", "node_memory_MemTotal_bytes{}": f"{100 * GB}x60",
            "node_pressure_memory_stalled_seconds_total{}": stalled}  # fmt: skip


def clock(boot: str, *, sync: str = "1x200", error: str = "0.1x200") -> Series:
    """When the machine was started, and what keeps its clock. promtool's own begins at 0, in 1970."""
    return {"node_boot_time_seconds{}": boot, "node_timex_sync_status{}": sync,
            "node_timex_maxerror_seconds{}": error}  # fmt: skip


def starts(started: str, failed: str) -> Series:
    """Starts of an image, added up."""
    return {'mlinfn_starts_total{profile="lab",outcome="started",reason=""}': started,
            'mlinfn_starts_total{profile="lab",outcome="failed",reason="timeout"}': failed}  # fmt: skip


def held(busy: str, lab: str = "1x200", card: str = CARD) -> Series:
    """A GPU that a lab holds, so busy, in percent."""
    return {f"mlinfn_lab_gpu_info{LAB}": lab, f"DCGM_FI_DEV_GPU_UTIL{card}": busy}


SOONER = {"backup_verified": "3h"}
"""What is another threshold than by default, so that nothing takes days."""

CASES = (
    Case("DiskFilling", "90m", disk(f"{300 * GB}-{GB // 2}x480"), disk(f"{300 * GB}-{GB // 50}x480")),
    Case("DiskFilling", "90m", disk(f"{300 * GB}-{GB // 2}x480"), disk(f"{900 * GB}-{GB}x480")),  # most is free
    Case("DiskFull", "10m", disk(f"{40 * GB}x60"), disk(f"{60 * GB}x60")),
    Case("MemoryPressure", "20m", memory(3), memory(30)),
    Case("MemoryPressure", "20m", memory(30, "0+12x60"), memory(30, "0+1x60")),
    Case("ClockWrong", "70m", clock("-9000x60 -8990x60"), clock("-9000x60 -8999x60")),
    Case("ClockWrong", "70m", clock("-9000x60 -9010x60"), clock("-9000x60 3600x60")),  # it was started
    Case("ClockWrong", "70m", clock("-9000x200", sync="0x200", error="16x200"),
         clock("-9000x200", sync="0x50 1x20", error="16x200")),
    Case("GPUFault", "5m", {f"DCGM_FI_DEV_XID_ERRORS{CARD}": "0x3 79x60"}, {f"DCGM_FI_DEV_XID_ERRORS{CARD}": "31x60"}),
    Case("GPUFault", "5m", {f"DCGM_FI_DEV_XID_ERRORS{OLD_CARD}": "48x60"},
         {f"DCGM_FI_DEV_XID_ERRORS{OLD_CARD}": "0x60", f"DCGM_FI_DEV_ROW_REMAP_FAILURE{OLD_CARD}": "1x60"}),
    Case("GPUMemoryBroken", "5m", {f"DCGM_FI_DEV_ROW_REMAP_FAILURE{OLD_CARD}": "1x60"},
         {f"DCGM_FI_DEV_ROW_REMAP_FAILURE{OLD_CARD}": "0x60", f"DCGM_FI_DEV_XID_ERRORS{OLD_CARD}": "79x60"}),
    Case("GPUGone", "90m", {'mlinfn_gpu_devices{class="a100"}': "4x60 3x60"},
         {'mlinfn_gpu_devices{class="a100"}': "3x60 4x60"}),
    Case("GPUGone", "90m", {'mlinfn_gpu_devices{class="a100"}': "4x60 stale", 'up{job="hub"}': "1x120"},
         {'mlinfn_gpu_devices{class="a100"}': "4x60 stale", 'up{job="hub"}': "1x60 0x60"}),
    Case("GPUHot", "10m", {f"DCGM_FI_DEV_GPU_TEMP{CARD}": "91x60"}, {f"DCGM_FI_DEV_GPU_TEMP{CARD}": "70x60"}),
    Case("GPUIdle", "130m", held("0x200"), held("0x100 90x5 0x100")),
    Case("GPUIdle", "130m", held("2x200", card=OLD_CARD), held("0x200", lab="_x120 1x100")),  # held for an hour
    Case("HubDown", "10m", {'up{job="hub"}': "0x60"}, {'up{job="hub"}': "1x60", 'up{job="node"}': "0x60"}),
    Case("ProxyDown", "10m", {'up{job="proxy"}': "0x60"}, {'up{job="proxy"}': "1x60"}),
    Case("TraefikDown", "10m", {'up{job="traefik"}': "0x60", 'up{job="hub"}': "1x60", 'up{job="proxy"}': "1x60"},
         {'up{job="traefik"}': "1x6 0x1 1x60", 'up{job="proxy"}': "0x60"}),
    Case("GuardRulesMissing", "10m", {"mlinfn_guard_up{}": "0x60"}, {"mlinfn_guard_up{}": "1x60"}),
    Case("GuardRulesMissing", "10m", {'up{job="guard"}': "0x60"}, {'up{job="guard"}': "1x60"}),
    Case("TargetDown", "10m", {'up{job="node"}': "0x60"}, {'up{job="node"}': "1x60", 'up{job="hub"}': "0x60"}),
    Case("TargetDown", "10m", {'up{job="dcgm"}': "0x60"}, {'up{job="dcgm"}': "1x6 0x2 1x60"}),
    Case("TargetDown", "10m", {'up{job="certificate"}': "0x60"}, {'up{job="traefik"}': "0x60"}),
    Case("ServiceRestarting", "40m", {'process_start_time_seconds{job="hub"}': "1x8 2x8 3x8 4x8 5x20"},
         {'process_start_time_seconds{job="hub"}': "1x8 2x60"}),
    Case("ServiceRestarting", "40m", {'up{job="guard"}': "1x3 0x2 1x3 0x2 1x3 0x2 1x3 0x2 1x60"},
         {'up{job="guard"}': "1x3 0x2 1x60"}),
    Case("ServiceRestarting", "40m", {'container_start_time_seconds{id="/docker/1f"}': "1x8 2x8 3x8 4x8 5x20"},
         {'container_start_time_seconds{id="/docker/1f"}': "1x60"}),
    Case("StartsFailing", "1h", starts("0x60", "0x10 0+1x60"), starts("0+1x60", "0x20 1x60")),
    Case("StartsFailing", "1h", starts("0x40 1x60", "0x30 4x60"), starts("0x40 9x60", "0x30 4x60")),
    Case("StartsFailing", "64m", starts("0x20", "0x5 3x9 _x5"), starts("0x20", "0x5 2x9 _x5"), "4m"),  # seen late
    Case("IAMAway", "20m", {'mlinfn_identity_service_up{issuer="https://iam.example.org"}': "0x60"},
         {'mlinfn_identity_service_up{issuer="https://iam.example.org"}': "0x5 1x60"}),
    Case("CVMFSStuck", "20m", {'mlinfn_cvmfs_up{repository="sft.cern.ch"}': "0x60"},
         {'mlinfn_cvmfs_up{repository="sft.cern.ch"}': "1x60"}),
    Case("CertificateExpiring", "2h", {'mlinfn_certificate_expiry_timestamp_seconds{name="hub"}': "1000000x200"},
         {'mlinfn_certificate_expiry_timestamp_seconds{name="hub"}': "7000000x200"}),
    Case("CertificateExpiring", "2h", {'mlinfn_certificate_expiry_timestamp_seconds{name="hub"}': "8000x200"},
         {'mlinfn_certificate_expiry_timestamp_seconds{name="hub"}': "7200x200"}),  # it has ended
    Case("CertificateEnded", "2h", {'mlinfn_certificate_expiry_timestamp_seconds{name="hub"}': "7200x200"},
         {'mlinfn_certificate_expiry_timestamp_seconds{name="hub"}': "7201x200"}),
    Case("BackupOld", "1h", {f"mlinfn_backup_age_seconds{TARGET}": "180000x60"},
         {f"mlinfn_backup_age_seconds{TARGET}": "80000x60",
          f"mlinfn_backup_last_success_timestamp_seconds{TARGET}": "1x60"}),
    Case("BackupOld", "25h", {f"mlinfn_backup_last_success_timestamp_seconds{TARGET}": "0x400"},
         {f"mlinfn_backup_last_success_timestamp_seconds{TARGET}": "0x100 24000x300"}, "4m"),
    Case("BackupOld", "51h", {f"mlinfn_backup_databases_last_success_timestamp_seconds{TARGET}": "1000x800"},
         {f"mlinfn_backup_databases_last_success_timestamp_seconds{TARGET}": "0x800"}, "4m"),
    Case("BackupUnverified", "5h", {f"mlinfn_backup_last_verified_timestamp_seconds{TARGET}": "1000x80"},
         {f"mlinfn_backup_last_verified_timestamp_seconds{TARGET}": "1000x60 14400x20"}, "4m"),
    Case("BackupUnverified", "50h", {f"mlinfn_backup_last_verified_timestamp_seconds{TARGET}": "0x800"},
         {f"mlinfn_backup_last_verified_timestamp_seconds{TARGET}": "0x600 144000+240x200"}, "4m"),
    Case("NumbersLost", "20m", {"prometheus_tsdb_wal_writes_failed_total{}": "0x10 0+1x20", **HERE},
         {"prometheus_tsdb_wal_writes_failed_total{}": "3x60", "prometheus_tsdb_compactions_failed_total{}": "0x60",
          **HERE}),
    Case("NumbersLost", "20m", {'up{job="prometheus"}': "1x10", 'up{job="hub"}': "1x10"},
         {'up{job="prometheus"}': "1x16", 'up{job="hub"}': "1x16"}),
    Case("RulesFailing", "20m", {'prometheus_rule_evaluation_failures_total{rule_group="a"}': "0x10 0+1x20"},
         {'prometheus_rule_evaluation_failures_total{rule_group="a"}': "0x60"}),
    Case("AlertsNotSent", "20m", {'alertmanager_notifications_failed_total{integration="email"}': "0x10 1x20"},
         {'alertmanager_notifications_failed_total{integration="email"}': "0x60",
          "prometheus_notifications_dropped_total{}": "2x60"}),
)  # fmt: skip
