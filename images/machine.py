"""What this machine's own configuration says about archives, indexes and authorities, as files for an image's build.

Nothing here ends up in an image but the extra certificate authorities: the rest are BuildKit secrets, which exist
only while a step runs.
"""

import configparser
import os
import re
import subprocess
from pathlib import Path

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
DISTRIBUTION_AUTHORITIES = Path("/usr/share/ca-certificates")
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "find-links", "proxy", "timeout", "retries")
NPM_DROPPED = ("cafile", "prefix", "cache", "nodedir", "userconfig", "globalconfig")


def write(folder: Path, suite: str) -> dict[str, Path]:
    """Files by secret id, written under `folder`, each readable by its owner only."""
    texts = {
        "pip": pip_configuration(),
        "npm": npm_configuration(),
        "apt-sources": apt_sources(suite),
        "apt-conf": apt_configuration(),
        "ca-bundle": BUNDLE.read_text() if BUNDLE.exists() else "",
    }
    texts = {name: text for name, text in texts.items() if text}
    for name, text in texts.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    return {name: folder / name for name in texts}


def write_authorities(folder: Path) -> None:
    """Write into `folder` one .crt for each authority that the machine trusts and its distribution does not ship."""
    shipped = {pem for path in DISTRIBUTION_AUTHORITIES.rglob("*.crt") for pem in _certificates(path)}
    added = [pem for pem in dict.fromkeys(_certificates(BUNDLE)) if pem not in shipped]
    for number, pem in enumerate(added):
        (folder / f"site-{number:02}.crt").write_text(pem + "\n")


def _certificates(path: Path) -> list[str]:
    return PEM.findall(path.read_text()) if path.exists() else []


def pip_configuration() -> str:
    """pip's [global] section from its files and environment; paths of this machine are left out."""
    values = {}
    home = Path.home()
    user = [home / ".pip/pip.conf", home / ".config/pip/pip.conf", *filter(None, [os.environ.get("PIP_CONFIG_FILE")])]
    for path in ("/etc/pip.conf", *user):
        parser = configparser.RawConfigParser()
        parser.read(path)
        for section in ("global", "install"):
            values.update(parser.items(section) if parser.has_section(section) else ())
    for key in PIP_KEYS:
        values[key] = os.environ.get("PIP_" + key.upper().replace("-", "_"), values.get(key, ""))
    kept = {key: _without_local_paths(values[key]) for key in PIP_KEYS}
    lines = [f"{key} = {value}" for key, value in kept.items() if value]
    return "\n".join(["[global]", f"cert = {BUNDLE}", *lines, ""])


def _without_local_paths(value: str) -> str:
    return " ".join(word for word in value.split() if not word.startswith(("/", "file:", "~", ".")))


def npm_configuration() -> str:
    """npm's own lines (registry, credentials, proxies), without those that name paths of this machine."""
    lines = []
    for path in (Path("/usr/etc/npmrc"), Path("/etc/npmrc"), Path.home() / ".npmrc"):
        lines += path.read_text().splitlines() if path.exists() else []
    registry = os.environ.get("NPM_CONFIG_REGISTRY")
    lines += [f"registry={registry}"] if registry else []
    kept = [line for line in lines if line.strip() and line.split("=")[0].strip() not in NPM_DROPPED]
    return "\n".join([*kept, ""])


def archive() -> tuple[str, str] | None:
    """(main archive, security archive) of Debian as apt is configured here; None on another distribution."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    if release.get("ID") != "debian":
        return None
    codename = release["VERSION_CODENAME"]
    shape = "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", shape, "Created-By: Packages"]
    targets = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    # Debian's own entries first: a third party's repository may use the same names.
    for _, suite, component, uri in sorted((line.split("|") for line in targets), key=lambda t: t[0] != "Debian"):
        if component == "main":
            found.setdefault(suite, uri.rstrip("/"))
    return (found[codename], found.get(f"{codename}-security", "")) if codename in found else None


def apt_sources(suite: str) -> str:
    """The sources of `suite` from the archive that apt uses here; empty where that is not Debian's."""
    uris = archive()
    if uris is None:
        return ""
    main, security = uris
    entries = [(main, f"{suite} {suite}-updates")] + ([(security, f"{suite}-security")] if security else [])
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        for uri, suites in entries
    )


def apt_configuration() -> str:
    """apt's proxies as they are here, and the machine's authorities for archives over https."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    proxies = [line for line in dump.splitlines() if re.match(r"Acquire::https?::(.*::)?Proxy ", line)]
    return "\n".join([*proxies, 'Acquire::https::CaInfo "/run/secrets/ca-bundle";', ""])
