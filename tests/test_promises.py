"""What must match, matches: imports, versions, docstrings, linters, and nothing of one machine in the files."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.machine_image import _configuration as site_configuration
from support.places import CHECKOUT

import jupyterhub_mlinfn

PACKAGE = CHECKOUT / "jupyterhub_mlinfn"
# Each layer may import those before it; modules of one layer do not import each other. Missing ones come later.
LAYERS = (
    {"errors"},
    {"files", "hosts", "loopback", "metrics", "references", "unpacking", "usage"},
    {"settings"},
    {"identity", "options", "gpus", "cvmfs", "capacity", "images", "volumes", "folders", "reclaim", "passwords",
     "tokens", "certificates"},
    {"rooms"},
    {"traits", "network", "culling", "ready", "login", "room_names", "claims"},
    {"pages"},
    {"form", "container", "local", "demo", "collab", "backup", "grafana", "starts", "refusals",
     "dirsize"},
    {"discovery"},
    {"iam"},
    {"passwd", "engine", "restored"},
    {"member", "delivery"},
    {"room"},
    {"software"},
    {"spawner"},
    {"reconcile", "sessions"},
    {"gpu_api", "gpu_accounts", "activity", "room_accounts", "export", "restored_api", "backup_page", "lab_accounts",
     "userinfo"},
    {"room_api"},
    {"census"},
    {"hub"},
)
SIDE_BY_SIDE = {
    ("local", "passwords"), ("volumes", "identity"), ("folders", "identity"), ("tokens", "volumes"),
    ("tokens", "identity"), ("reclaim", "folders"), ("reclaim", "identity"), ("gpus", "identity"),
}  # fmt: skip
CLI_MAY_NOT = {"hub", "spawner"}
# A service's outermost loop, where everything that goes wrong is logged with its traceback.
MAY_CATCH_ALL = {f"jupyterhub_mlinfn/{name}.py" for name in ("sessions", "reconcile", "gpu_accounts", "lab_accounts",
                                                         "census", "hub", "room_accounts", "backup/service", "dirsize")}


def tracked(*patterns: str) -> list[Path]:
    """Files that git keeps or would keep, by pattern."""
    command = ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return [CHECKOUT / name for name in names if name and (CHECKOUT / name).is_file()]


def noun_of(path: Path) -> str:
    """The module or folder of the package that a file belongs to; settings_words is part of settings."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "settings" if first.startswith("settings_") else first


def imported(path: Path) -> set[str]:
    """The nouns of this package that a file imports, but its own."""
    found = set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("jupyterhub_mlinfn.")}
        elif isinstance(node, ast.ImportFrom):
            found |= _from(node, depth)
    return {"settings" if noun.startswith("settings_") else noun for noun in found} - {noun_of(path)}


def _from(node: ast.ImportFrom, depth: int) -> set[str]:
    whole = node.module or ""
    if node.level == depth or (node.level == 0 and whole.split(".")[0] == "jupyterhub_mlinfn"):
        parts = whole.split(".") if node.level else whole.split(".")[1:]
        modules = {parts[0]} if parts and parts[0] else {alias.name for alias in node.names}
        return {name for name in modules if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()}
    return set()


def layer_of(noun: str) -> int:
    """Which layer a noun is on."""
    return next(number for number, layer in enumerate(LAYERS) if noun in layer)


def test_modules_import_only_what_comes_before_them():
    wrong = []
    for path in tracked("jupyterhub_mlinfn/*.py"):
        noun = noun_of(path)
        if noun in ("__init__", "cli"):
            continue
        assert any(noun in layer for layer in LAYERS), f"{path.name} has no place in LAYERS."
        for other in imported(path):
            allowed = other in ("__init__",) or (noun, other) in SIDE_BY_SIDE or other not in ("cli", "hub")
            if not allowed or other == "cli" or not (layer_of(other) < layer_of(noun) or (noun, other) in SIDE_BY_SIDE):
                wrong.append(f"{noun} imports {other}")
    assert wrong == []


def test_command_line_reads_neither_hub_nor_spawner():
    for path in tracked("jupyterhub_mlinfn/cli/*.py"):
        assert imported(path) & CLI_MAY_NOT == set(), path.name


def test_nobody_catches_everything():
    wrong = []
    for path in tracked("*.py", "images/*"):
        if path.suffix != ".py" or str(path.relative_to(CHECKOUT)) in MAY_CATCH_ALL:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and _catches_all(node):
                wrong.append(f"{path.relative_to(CHECKOUT)}:{node.lineno}")
    assert wrong == []


def _catches_all(handler: ast.ExceptHandler) -> bool:
    """True for a bare except, or Exception, or a BaseException that is not raised again."""
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    raises = any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    return "Exception" in names or ("BaseException" in names and not raises)


def test_public_functions_have_docstrings():
    wrong = []
    for path in tracked("jupyterhub_mlinfn/*.py"):
        top = ast.parse(path.read_text()).body
        methods = [child for node in top if isinstance(node, ast.ClassDef) for child in node.body]
        public = list(filter(_is_public, [*top, *methods]))
        told = {"clashes", *(function.name for function in public if ast.get_docstring(function))}  # told in Model
        for function in public:
            if function.name not in told and not _says_enough(function):
                wrong.append(f"{path.relative_to(CHECKOUT)}:{function.lineno} {function.name}")
    assert wrong == []


def _is_public(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_")


def _says_enough(node: ast.AST) -> bool:
    """Handlers of traitlets and pydantic are told by their decorators, checks by the title of their Finding."""
    returns = getattr(node, "returns", None)
    if isinstance(returns, ast.Name) and returns.id == "Finding":
        return True
    words = {n.id for d in getattr(node, "decorator_list", []) for n in ast.walk(d) if isinstance(n, ast.Name)}
    return bool(words & {"default", "validate", "observe", "field_validator", "model_validator", "property"})


def test_nothing_of_this_machine_is_in_a_file():
    """Archives, indexes and registries come from the machine's configuration, paths from the settings."""
    forbidden = "|".join(map(re.escape, sorted(_hosts_of_this_machine()))) or "(?!)"
    places = {CHECKOUT, Path(sys.base_prefix)} - {Path("/usr"), Path("/opt/mlinfn")}  # documented ones
    paths = "|".join(re.escape(f"{place}/") for place in sorted(places)) or "(?!)"
    pattern = re.compile(f"{forbidden}|{paths}")
    here = Path(__file__)
    wrong = []
    for path in tracked():
        if path == here or path.suffix in (".png", ".ico", ".woff2"):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if pattern.search(line):
                wrong.append(f"{path.relative_to(CHECKOUT)}:{number}: {line.strip()[:120]}")
    assert wrong == []


def _hosts_of_this_machine() -> set[str]:
    here = site_configuration()
    archives = "\n".join(filter(None, here.archive() or ()))
    configured = "\n".join([archives, here.pip_configuration(), here.npm_configuration(), here.apt_configuration()])
    known = {"localhost", "127.0.0.1"}
    public = {"deb.debian.org", "pypi.org", "files.pythonhosted.org", "registry.npmjs.org"}
    return (set(re.findall(r"https?://([^/\s:\"]+)", configured)) | public) - known


def test_versions_agree():
    version = jupyterhub_mlinfn.__version__
    example = dict(re.findall(r"^(\w+)=(.*)$", (CHECKOUT / "compose/env.example").read_text(), re.MULTILINE))
    assert example["MLINFN_VERSION"] == version
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[?(\d[^\]\s]*)", changelog, re.MULTILINE).group(1) == version
    for path in tracked("images/*/Dockerfile"):
        for pinned in re.findall(r"^ARG BASE=mlinfn/[a-z-]+:(\S+)$", path.read_text(), re.MULTILINE):
            assert pinned == version, path


def test_compose_names_no_image_without_a_version():
    compose = YAML(typ="safe").load(CHECKOUT / "compose/compose.yaml")
    for name, service in compose["services"].items():
        if name == "cadvisor":  # the site names it
            continue
        assert re.search(r":(\$\{MLINFN_VERSION.*\}|\d[\w.-]*)$", service["image"]), name


def test_ruff_finds_nothing():
    ruff = [sys.executable, "-m", "ruff", "check", "--quiet", "."]
    done = subprocess.run(ruff, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def scripts() -> list[Path]:
    """Shell scripts by their first line."""
    return [p for p in tracked() if re.match(rb"#!.*\b(ba)?sh\b", p.open("rb").readline())]


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck")
    assert shellcheck, "./test.sh installs shellcheck."
    done = subprocess.run([shellcheck, *map(str, scripts())], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", tracked("*Dockerfile"), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_hadolint_finds_nothing(path):
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(hadolint), str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_modules_are_short():
    lengths = {p.relative_to(CHECKOUT): len(p.read_text().splitlines()) for p in tracked("*.py")}
    assert {path: length for path, length in lengths.items() if length > 300} == {}
