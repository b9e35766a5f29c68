"""Settings of the kernel with which labs do not work, or not many of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .finding import Finding
from .known import Facts

FILE = "/etc/sysctl.d/90-mlinfn.conf"


@dataclass(frozen=True)
class Setting:
    """One of machine.KERNEL: which values are well, which one to set, and what the others do."""

    name: str
    is_well: Callable[[int], bool]
    better: int
    level: str
    means: str


SETTINGS = (
    Setting("net.ipv4.ip_forward", lambda value: value == 1, 1, "red", "labs reach nothing outside"),
    Setting("vm.overcommit_memory", lambda value: value != 2, 0, "amber",
            "programs that reserve more memory than they use, such as Python with CUDA, fail"),
    Setting("kernel.pid_max", lambda value: value >= 2**16, 2**22, "amber",
            "few labs with many threads take all numbers of processes, and nobody starts any"),
    Setting("fs.inotify.max_user_instances", lambda value: value >= 128, 1024, "amber",
            "programs cannot watch files and say \"too many open files\""),
    Setting("fs.inotify.max_user_watches", lambda value: value >= 2**16, 2**19, "amber",
            "editors cannot watch large projects and say \"no space left on device\""),
)  # fmt: skip


def kernel(facts: Facts) -> list[Finding]:
    """What is not as it has to be; one line where nothing is."""
    there = [(each, facts.machine.kernel[each.name]) for each in SETTINGS if each.name in facts.machine.kernel]
    wrong = [_wrong(each, value) for each, value in there if not each.is_well(int(value))]
    if there and not wrong:
        return [Finding("green", "Kernel", "Its settings do for many labs.")]
    return wrong


def _wrong(setting: Setting, value: str) -> Finding:
    return Finding(setting.level, "Kernel", f"{setting.name} is {value}: {setting.means}.",
                   keep(setting.name, setting.better))


def keep(name: str, value: int) -> str:
    """The command that sets it, now and at the next boot."""
    return f"echo {name}={value} | sudo tee -a {FILE} && sudo sysctl -p {FILE}"
