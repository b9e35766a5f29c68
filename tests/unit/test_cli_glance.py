"""What `mlinfn status` makes of the Engine's list, and that it does not wait for what it does not need."""

import subprocess
import sys

import pytest

from jupyterhub_mlinfn.cli import glance
from jupyterhub_mlinfn.settings import Settings

TEXT = (
    "running\tUp 2 hours (healthy)\tmlinfn\thub\t\t\t\n"
    "running\tUp 3 seconds (health: starting)\tmlinfn\tproxy\t\t\t\n"
    "exited\tExited (1) 2 hours ago\tmlinfn\tguard\t\t\t\n"
    "running\tUp 2 hours (healthy)\tmlinfn\tgpus\t\tgpus\t\n"
    "running\tUp 2 hours (unhealthy)\tother\thub\t\t\t\n"
    "running\tUp 1 minute (healthy)\t\t\tmlinfn\t\tanna\n"
    "exited\tExited (0) 1 minute ago\t\t\tmlinfn\t\tbob\n"
    "running\tUp 1 minute\t\t\tmlinfn\trestore\tbob\n"
    "running\tUp 1 minute\t\t\tother\t\tzoe\n"
)


def test_services_and_labs_are_told_apart_in_one_list():
    rows = glance.parsed(TEXT)
    assert glance.services(rows, Settings()) == {
        "hub": "healthy", "proxy": "starting", "guard": "exited", "gpus": "healthy"}  # fmt: skip
    assert glance.labs(rows, Settings()) == ("anna",)
    assert glance.services(rows, Settings(instance="other")) == {"hub": "unhealthy"}
    assert glance.parsed("") == ()


@pytest.mark.parametrize(("module", "slow"), [
    ("jupyterhub_mlinfn.cli", {"pydantic", "rich"}),
    ("jupyterhub_mlinfn.cli.facts", {"docker", "requests", "rich", "jupyterhub", "tornado"}),
])  # fmt: skip
def test_what_takes_long_to_import_is_imported_where_it_is_needed(module, slow):
    code = f"import sys, {module}; print(*({slow} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")
