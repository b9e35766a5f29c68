"""The image that the base stands on: Debian's own from a registry, or one made here from Debian's archive."""

import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import machine

LOCAL = "mlinfn/debian:13"
REGISTRY_PATIENCE_S = 20
# What a slim image goes without; the same paths as in images/base/Dockerfile's dpkg configuration.
LEFT_OUT = (
    "dev/*", "proc/*", "sys/*", "var/cache/apt/*.bin", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*",
    "var/cache/debconf/*-old", "var/log/*.log", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*",
)  # fmt: skip
# debootstrap's own lines for each package of a minimal system: retrieved, validated, extracted or unpacked, configured.
EXPECTED_LINES = 400


def find_or_make(versions: dict[str, str], log, say) -> str:
    """The name of a local Debian image: the one that is there, else the registry's, else one made with debootstrap."""
    pinned = f"debian:{versions['DEBIAN_TAG']}"
    for image in (pinned, LOCAL):
        if is_here(image):
            return image
    if pull(pinned, log):
        return pinned
    say("    no registry answers: making the Debian image from Debian's archive with debootstrap")
    bootstrap(versions["DEBIAN_SUITE"], log, say)
    return LOCAL


def find(image: str, log) -> bool:
    """True once `image` is here, because it was or because a registry gave it."""
    return is_here(image) or pull(image, log)


def is_here(image: str) -> bool:
    """Whether the engine holds it."""
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0


def pull(image: str, log) -> bool:
    """True once `image` is here; False if no registry gives its first answer in time, or refuses."""
    process = subprocess.Popen(["docker", "pull", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    patience = threading.Timer(REGISTRY_PATIENCE_S, process.kill)
    patience.daemon = True
    patience.start()
    for line in process.stdout:
        log.write(line)
        if "Pulling from" in line:
            patience.cancel()
    patience.cancel()
    return process.wait() == 0


def bootstrap(suite: str, log, say) -> None:
    """Make LOCAL from the archive that this machine's apt uses, or debootstrap's own default elsewhere."""
    if shutil.which("debootstrap") is None:
        raise SystemExit("debootstrap is missing. Install it: apt-get install debootstrap")
    uris = machine.archive()
    with tempfile.TemporaryDirectory(prefix="mlinfn-debian-", dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", suite, str(root), *([uris[0]] if uris else [])]
        _follow(command, log, say)
        _replace_sources(root, suite)
        _import(root)


def _follow(command: list[str], log, say) -> None:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines, shown = [], 0
    for count, line in enumerate(process.stdout):
        log.write(line)
        lines.append(line.rstrip())
        percent = min(99, 100 * count // EXPECTED_LINES)
        if percent >= shown + 10 and re.match("I: ", line):
            shown = percent // 10 * 10
            say(f"    debootstrap {shown:3} %")
    if process.wait():
        raise SystemExit("debootstrap failed. Its last lines were:\n" + "\n".join(lines[-10:]))


def _replace_sources(root: Path, suite: str) -> None:
    """One deb822 file with security updates instead of debootstrap's single line."""
    text = machine.apt_sources(suite)
    if text:
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
        (root / "etc/apt/sources.list.d/debian.sources").write_text(text)


def _import(root: Path) -> None:
    left_out = [f"--exclude=./{pattern}" for pattern in LEFT_OUT]
    tar = subprocess.Popen(["tar", "-C", str(root), *left_out, "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["docker", "import", "-", LOCAL], stdin=tar.stdout, stdout=subprocess.DEVNULL, check=True)
    if tar.wait():
        raise SystemExit("The Debian image could not be packed.")
