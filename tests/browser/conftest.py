"""A hub with our picker and pages in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import picker_gpus
import pytest
import requests
from playwright.sync_api import Page
from support.places import free_ports
from support.process import Program
from support.wait import until

from jupyterhub_mlinfn.options import profile_list_of
from jupyterhub_mlinfn.settings import Settings

HERE = Path(__file__).parent
HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
PEOPLE = {"anna": ["members", "ml", "keepers", HOSTILE], "bob": ["members"], "nobody": []}
PEOPLE |= {name: ["members", "ml"] for name in ("carla", "dora", "eva", "finn", "gina", "hugo", "ines")}
PEOPLE |= {name: ["members", "ml"] for name in ("juri", "kira", "luca", "mara", "nico", "olga")}
PEOPLE |= {"keeper": ["members"], "guest": ["guests"]}
FAILURE = (
    "The container of your lab ended with exit code 127. Its image has no jupyterhub-singleuser: "
    "install the jupyterhub package in it.\n\n"
    "exec: jupyterhub-singleuser: not found\n<b>second line</b>\n" + "a long line " * 30
)


@dataclass(frozen=True)
class Picker:
    """A running hub with our picker."""

    url: str
    folder: Path

    def gpus(self, *words: str, **world) -> None:
        """From now on this is so of the GPUs: see picker_gpus.world."""
        new = self.folder / "gpus.json.new"
        new.write_text(json.dumps(picker_gpus.world(*words, **world)))
        new.replace(self.folder / "gpus.json")

    def starts(self, user: str) -> list[dict[str, str]]:
        """The plain keys of every lab of this person that was started."""
        log = self.folder / "starts.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if line.pop("user") == user]

    def sign_in(self, page: Page, user: str, *, then: str = "#spawn_form") -> None:
        """Sign in through the page, as a person does."""
        page.goto(f"{self.url}/hub/login")
        page.fill("#username_input", user)
        page.fill("#password_input", user)
        page.press("#password_input", "Enter")
        page.wait_for_selector(then)

    def start(self, page: Page, profile: str) -> None:
        """Pick this profile and press Start."""
        page.goto(f"{self.url}/hub/spawn")
        page.check(f"[name=profile][value={profile}]")
        page.click("#start")


def _profiles() -> list[dict]:
    images = [
        {"slug": "lab", "title": "JupyterLab", "image": "mlinfn/lab", "tags": ["CPU"], "groups": ["members"],
         "description": "Scientific Python: numpy, scipy, pandas, uproot, awkward, hist and mplhep.", "gpus": False},
        {"slug": "lab-ml", "title": "Machine learning", "image": "mlinfn/lab-ml", "tags": ["GPU"],
         "groups": ["ml", "guests"], "description": "PyTorch and friends.", "icon": "🧠",
         "memory": ["8G", "16G", "32G"]},
        {"slug": "hostile", "title": HOSTILE, "description": HOSTILE, "image": "x", "groups": ["ml"], "icon": "<b",
         "tags": [HOSTILE]},
        {"slug": "slow", "title": "Slow", "description": "Starts for ever.", "image": "slow", "groups": ["ml"]},
        {"slug": "broken", "title": "Broken", "description": "Never starts.", "image": "broken", "groups": ["ml"],
         "gpus": False},
    ]  # fmt: skip
    typed = {"groups": ["keepers"], "pattern": r"docker\.io/.+"}
    return profile_list_of(Settings(images=images, unlisted_images=typed))


@pytest.fixture(scope="session")
def picker(tmp_path_factory: pytest.TempPathFactory, proxy_command: list[str]) -> Iterator[Picker]:
    """A hub where everybody of PEOPLE has their own name as password."""
    folder, port = tmp_path_factory.mktemp("hub"), free_ports()
    said = {"profile_list": _profiles(), "people": PEOPLE, "failure": FAILURE, "contact": "help@example.org"}
    (folder / "site.json").write_text(json.dumps(said))
    (folder / "gpus.json").write_text(json.dumps(picker_gpus.world()))
    environment = {"PICKER_PORT": str(port), "PICKER_LAB": str(HERE / "picker_lab.py")}
    environment |= {"PICKER_PROXY": json.dumps(proxy_command)}
    argv = [sys.executable, "-m", "jupyterhub", "-f", str(HERE / "picker_site.py")]
    hub = Program(argv, folder / "hub.log", environment, folder)
    hub.start()
    url = f"http://localhost:{port}"
    until(lambda: _answers(f"{url}/hub/health"), 60, "the hub")
    yield Picker(url, folder)
    hub.stop()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False
