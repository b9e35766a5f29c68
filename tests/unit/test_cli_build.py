"""`mlinfn images build`: what it exits with when the checkout's builder ends badly. Real builds are in tests/docker."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import CHECKOUT

from jupyterhub_mlinfn import __version__

pytestmark = pytest.mark.docker  # without an engine, but too long for the quick part
MLINFN = Path(sys.executable).with_name("mlinfn")
BUILDER = """
import os, signal, sys
if "lab-ml" in sys.argv:
    {end}
"""
"""Builds everything but lab-ml."""


@pytest.fixture
def build(tmp_path):
    """Call it with how lab-ml's builder ends: what `mlinfn images build` exits with. That of lab ends well."""
    there = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "jupyterhub_mlinfn", there / "jupyterhub_mlinfn")
    for name in ("lab", "lab-ml"):
        (there / "images" / name).mkdir(parents=True)
        (there / "images" / name / "Dockerfile").touch()
    (tmp_path / "docker").write_text("#!/bin/sh\necho {}\n")
    (tmp_path / "docker").chmod(0o755)
    offered = [f"{{slug: {name}, title: T, image: 'mlinfn/{name}:{__version__}{tag}'}}"
               for name, tag in {"lab": "", "lab-ml": "-no-torch"}.items()]  # fmt: skip
    (tmp_path / "mlinfn.yaml").write_text(f"root: {tmp_path}/root\nimages: [{', '.join(offered)}]\n")

    def run(end: str) -> int:
        (there / "images/build").write_text(BUILDER.format(end=end))
        environment = {**os.environ, "MLINFN_CONFIG": str(tmp_path / "mlinfn.yaml"), "PYTHONPATH": str(there),
                       "PATH": f"{tmp_path}:{os.environ['PATH']}"}  # fmt: skip
        return subprocess.run([MLINFN, "images", "build", "--json"], env=environment, stdout=subprocess.DEVNULL,
                              timeout=30).returncode  # fmt: skip

    return run


@pytest.mark.parametrize(("end", "code"), [
    ("sys.exit(0)", 0), ("sys.exit(1)", 1), ("sys.exit(130)", 1), ("os.kill(os.getpid(), signal.SIGKILL)", 1),
])  # fmt: skip
def test_a_builder_that_ends_badly_is_not_well_however_it_ends(build, end, code):
    assert build(end) == code
