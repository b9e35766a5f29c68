"""The lab's image as any uid meets it: what starts fast, what is there, and what a member may add."""

from __future__ import annotations

import json

import docker
import pytest

from jupyterhub_mlinfn import tokens
from jupyterhub_mlinfn.identity import Person

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
STARTED = """
import sys, mlinfn_lab
sys.meta_path.insert(0, mlinfn_lab._Finder)
import jupyterhub.singleuser, jupyter_server_proxy, jupyterlab.labapp, notebook.app, jupyter_resource_usage
import json
print(json.dumps(sorted(sys.modules)))
"""
SLOW_TO_IMPORT = {
    "aiohttp.client", "alembic", "httpx", "IPython", "jupyterhub.handlers", "rfc3987_syntax", "sqlalchemy.orm",
}  # fmt: skip
UNCOMPILED = """
import importlib.util, pathlib, sys
for path in pathlib.Path("/usr/local/lib").rglob("dist-packages/**/*.py"):
    compiled = pathlib.Path(importlib.util.cache_from_source(path))
    if not compiled.exists() or int.from_bytes(compiled.read_bytes()[8:12], "little") != int(path.stat().st_mtime):
        print(path)
"""
SCIENCE = "import awkward, hist, ipywidgets, matplotlib.pyplot, mplhep, numpy, pandas, scipy.optimize, uproot"


@pytest.fixture
def shell(engine: docker.DockerClient, lab_image: str):
    """Runs a command in the image as a member's uid would, with a home of its own; its output."""

    def run(*command: str, **more) -> str:
        options = {"user": "70123:70123", "environment": {"HOME": "/tmp"}, "working_dir": "/tmp", "cap_drop": ["ALL"],
                   "security_opt": ["no-new-privileges"], "remove": True, "stderr": True, "network_mode": "none"}
        return engine.containers.run(lab_image, list(command), **{**options, **more}).decode()

    return run


def test_start_imports_nothing_that_it_does_not_need(shell):
    loaded = set(json.loads(shell("python3", "-s", "-c", STARTED)))
    assert loaded & SLOW_TO_IMPORT == set()


def test_every_module_is_compiled(shell):
    assert shell("python3", "-c", UNCOMPILED) == ""


def test_scientific_python_is_there(shell):
    assert shell("python3", "-c", SCIENCE + "; print('ok')").splitlines()[-1] == "ok"


def test_terminal_has_what_people_type(shell):
    tools = ["bash", "git", "less", "nano", "vi", "python", "pip", "ps", "htop", "curl", "ssh", "make", "unzip"]
    assert shell("bash", "-lc", f"type -t {' '.join(tools)} >/dev/null && echo all").splitlines()[-1] == "all"


def test_prompt_and_completion_are_set(shell):
    said = shell("bash", "-lic", "echo \"$PS1\"; complete -p git; echo $PATH")
    assert r"\w" in said
    assert "/tmp/.local/bin:" in said


def test_member_package_is_seen_by_kernels_and_not_by_the_server(shell):
    script = """
mkdir -p $(python3 -m site --user-site)
echo 'raise SystemExit("broken by a member")' >$(python3 -m site --user-site)/tornado.py
python3 -c 'import tornado' 2>&1 || true
head -n 1 /usr/local/bin/jupyterhub-singleuser
jupyterhub-singleuser --version
"""
    said = shell("bash", "-c", script)
    assert said.count("broken by a member") == 1
    assert said.splitlines()[-1].strip()[0].isdigit()


def test_image_is_labelled_and_not_root(engine, lab_image):
    attributes = engine.images.get(lab_image).attrs["Config"]
    assert attributes["User"] == "1000:1000"
    assert attributes["Entrypoint"][0] == "/usr/bin/tini"
    assert attributes["Labels"]["org.opencontainers.image.title"] == "mlinfn/lab"
    assert attributes["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/lab-health"]


def test_token_and_name_of_the_member_are_found(shell, tmp_path):
    anna = Person("anna", "anna", 70123)
    (tmp_path / "run").mkdir()
    tokens.write(tmp_path, anna, "", "a.b.c")
    tokens.write_gitconfig(tmp_path, anna, "", {"name": 'Anna "Ann" Rossi', "email": "anna@example.org"})
    seen = {"mounts": [tokens.mount(tmp_path, anna).as_docker()], "environment": {"HOME": "/tmp", **tokens.ENVIRONMENT}}
    assert shell("mlinfn-token", **seen) == "a.b.c\n"
    assert shell("git", "config", "user.name", **seen) == 'Anna "Ann" Rossi\n'
    assert shell("git", "config", "user.email", **seen) == "anna@example.org\n"
