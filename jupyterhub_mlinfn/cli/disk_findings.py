"""Whether there is room on the disks, and who can read what lies on them."""

from __future__ import annotations

from .finding import Finding
from .known import Facts

GB = 2**30
ROOMY = 50 * GB
"""With so much left, images and data may share a disk."""
MOVE = ("mount a disk on /mnt/docker; mlinfn down --labs; sudo systemctl stop docker.socket docker; sudo rsync -aHAXx "
        '/var/lib/docker/ /mnt/docker/; put "data-root": "/mnt/docker" into /etc/docker/daemon.json; sudo systemctl '
        "start docker; mlinfn up; then remove what is in /var/lib/docker")  # fmt: skip


def disk(facts: Facts) -> Finding:
    """Of the disk that is worst off; among those that are alike, the one with the least room."""
    found = [_disk(facts, *each) for each in sorted(facts.free.items(), key=lambda each: each[1][0])]
    return min(found, key=lambda each: ("red", "amber", "green").index(each.level))


def _disk(facts: Facts, path: str, room: tuple[int, int]) -> Finding:
    free, total = room
    said = f"{free / GB:.0f} of {total / GB:.0f} GB are free on the disk of {path}."
    remedy = f"du -xh --max-depth=2 {facts.settings.root} | sort -h | tail; docker system df"
    if free < GB or free < 0.02 * total:
        return Finding("red", "Disk", said, remedy)
    if free < 10 * GB or free < 0.1 * total:
        return Finding("amber", "Disk", said, remedy)
    return Finding("green", "Disk", said)


def read_only(facts: Facts) -> list[Finding]:
    """Folders that the kernel lets nobody write to, as after a fault of their disk."""
    return [Finding("red", "Disk", f"The disk of {path} is read-only: nothing can be saved on it.",
                    f'sudo dmesg | tail; sudo mount -o remount,rw "$(findmnt -no TARGET -T {path})"')
            for path in facts.machine.read_only]  # fmt: skip


def inodes(facts: Facts) -> Finding | None:
    """Nothing where no file system counts them, as btrfs does not."""
    if not facts.machine.inodes:
        return None
    path, (free, total) = min(facts.machine.inodes.items(), key=lambda item: item[1][0] / item[1][1])
    said = f"{free} more files of {total} can be made on the disk of {path}."
    remedy = f"sudo du --inodes -x --max-depth=3 {path} | sort -n | tail; docker builder prune"
    if free < 0.05 * total:
        level = "red" if free < 0.01 * total else "amber"
        return Finding(level, "Files", f"{said} Without any, nothing can be saved, however much room there is.", remedy)
    return Finding("green", "Files", said)


def shared_disk(facts: Facts) -> Finding | None:
    """Whether what members pull can fill the disk that their files are on; nothing while there is plenty of room."""
    root = str(facts.settings.root)
    left = facts.free[root][0]
    if not facts.machine.is_one_disk or left > ROOMY:
        return None
    return Finding("amber", "Images' disk", f"Images are on the disk of {root}, which has {left / GB:.0f} GB left: "
                   "whoever pulls one can fill it for all.", MOVE)


def targets(facts: Facts) -> list[Finding]:
    """Folders for backups that are not there, or whose disk is not."""
    return [Finding("amber", "Backups' disk", f"Nothing is copied to {folder}: {why}.", _mend(folder, why))
            for folder, why in facts.machine.unmounted.items()]  # fmt: skip


def _mend(folder: str, why: str) -> str:
    disk, is_listed, _ = why.partition(" of /etc/fstab ")
    if is_listed:
        return f"sudo mount {disk} && mlinfn up"
    if "answer" in why:
        return f"sudo umount -l {folder}; sudo mount {folder} && mlinfn up"
    return "mount its disk, then: mlinfn up" if "copies" in why else f"sudo mkdir -p {folder} && mlinfn up"


def folders(facts: Facts) -> Finding | None:
    """Whether labs see what the site wants them to see; nothing where it wants nothing."""
    if facts.away:
        return Finding("amber", "Folders", f"Labs start without {', '.join(facts.away)}: not there, or without answer.",
                       f"findmnt -T {facts.away[0]}; then mount it. Labs that start later see it")
    seen = ", ".join(str(extra.target) for extra in facts.settings.storage.extra)
    return Finding("green", "Folders", f"Labs see the site's own {seen}.") if seen else None


def run_folder(facts: Facts) -> Finding:
    free, total = facts.machine.run_free if facts.machine else (1, 1)
    if facts.run_is_tmpfs and free < 0.1 * total:
        return Finding("red", "Tokens", f"{facts.settings.root}/run is full: labs get no fresh tokens.",
                       f"sudo mount -o remount,size=256m {facts.settings.root}/run")
    if facts.run_is_tmpfs:
        return Finding("green", "Tokens", f"{facts.settings.root}/run is in memory only.")
    return Finding("red", "Tokens", f"{facts.settings.root}/run is not a tmpfs: tokens would reach the disk.",
                   "sudo mlinfn prepare")


def secrets(facts: Facts) -> Finding:
    if facts.secrets:
        return Finding("red", "Secrets", " ".join(facts.secrets), "sudo mlinfn prepare")
    return Finding("green", "Secrets", "Each can be read by its service alone.")


def rights(facts: Facts) -> Finding:
    if facts.machine.open_folders:
        folders = " ".join(each.split()[0] for each in facts.machine.open_folders)
        return Finding("red", "Rights", f"{' '.join(facts.machine.open_folders)} Who has an account on this machine "
                       "gets at what is the members' or the services' alone.", f"sudo chmod 0700 {folders}")
    return Finding("green", "Rights", "Nobody else on this machine comes into our folders.")
