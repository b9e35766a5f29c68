"""The verbs of `mlinfn`, as a keeper types them from the first day on: one instance of their own, one lab in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
from support import secrecy
from support.client import Visitor
from support.engine import remove_all, show_evidence
from support.places import free_ports, free_subnet, test_name
from support.wait import until

from jupyterhub_mlinfn import __version__
from jupyterhub_mlinfn.cli import compose, hub_api
from jupyterhub_mlinfn.cli import engine as cli_engine
from jupyterhub_mlinfn.cli.site import Site

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
MLINFN = Path(sys.executable).with_name("mlinfn")
FSTAB = Path("/etc/fstab")
SERVICES = {"hub", "proxy", "guard"}
LABS = 20
SECOND = 1.0


class Keeper:
    """Somebody at a terminal of the machine."""

    def __init__(self, folder: Path):
        self.site = Site(folder / "config/mlinfn.yaml")
        self.passwords: dict[str, str] = {}

    def start(self, *words: str) -> subprocess.Popen:
        """A command that runs, in a group of its own, as at a terminal."""
        return subprocess.Popen([MLINFN, "--config", self.site.config, *words], text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip

    def run(self, *words: str, typed: str = "") -> subprocess.CompletedProcess:
        """What a command did."""
        return subprocess.run([MLINFN, "--config", self.site.config, *words], input=typed, text=True,
                              capture_output=True, timeout=200)  # fmt: skip

    def answer(self, *words: str):
        """What it answers to programs, where all is well."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def change(self, old: str, new: str) -> None:
        """mlinfn.yaml is another one from now on."""
        text = self.site.config.read_text()
        assert old in text
        self.site.config.write_text(text.replace(old, new))
        self.site = Site(self.site.config)

    def running(self) -> set[str]:
        """The services that run."""
        return {name for name, each in compose.services(self.site).items() if each["State"]["Running"]}


@pytest.fixture(scope="module")
def keeper(engine: docker.DockerClient, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory,
           request: pytest.FixtureRequest) -> Iterator[Keeper]:  # fmt: skip
    """A keeper whose instance has settings, and nothing else yet."""
    folder, name, failed = tmp_path_factory.mktemp("keeper"), test_name(), request.session.testsfailed
    keeper = Keeper(folder)
    answers = f"root: {folder}/root\nport: {free_ports()}\nlogin: local\nmemory: [512M]\nbackup: []\n"
    (folder / "answers").write_text(answers)
    assert keeper.answer("init", "--answers", str(folder / "answers"))["kept"] is None
    with keeper.site.config.open("a") as file:
        file.write(f"instance: {name}\nnetwork: {{labs_subnet: {free_subnet()}}}\nmonitoring: {{enabled: false}}\n")
    secrecy.run.keep_from(lambda: secrecy.in_folder(folder / "root/secrets"))
    try:
        yield keeper
    finally:
        if request.session.testsfailed != failed:
            show_evidence(engine, name)
        remove(keeper.site)
        remove_all(engine, name)
        FSTAB.write_text("".join(line for line in FSTAB.open() if str(folder) not in line))
        subprocess.run(["umount", str(folder / "root/run")], check=False, capture_output=True)


def remove(site: Site) -> None:
    """Nothing is left of services and firewall."""
    subprocess.run(["docker", *compose.words(site, "stop", "guard")], capture_output=True)  # it would put them back
    words = compose.words(site, "run", "--rm", "--no-deps", "guard", "python3", "/opt/guard/guard.py", "remove")
    subprocess.run(["docker", *words], capture_output=True)
    subprocess.run(["docker", *compose.words(site, "down", "--timeout", "5")], capture_output=True)


def read_until(process: subprocess.Popen, word: str) -> None:
    """Nothing, once a line of standard error has the word."""
    for line in process.stderr:
        if word in line:
            return
    pytest.fail(f"{word} was never said: {process.communicate()}")


def test_a_first_start_that_is_interrupted_leaves_nothing_running(keeper):
    assert keeper.answer("config", "check")["ok"] is True
    assert keeper.answer("config", "show")["instance"] == keeper.site.settings.instance
    assert "labs_subnet" in json.dumps(keeper.answer("config", "schema"))
    assert any("Made the secret" in each for each in keeper.answer("prepare")["done"])
    process = keeper.start("up")
    read_until(process, "Creat")
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert said.splitlines()[-1].endswith("ran before, so it was taken down again.")
    assert "Traceback" not in said
    assert compose.services(keeper.site) == {}


def test_two_at_once_are_one_after_the_other(keeper):
    process = keeper.start("up")
    read_until(process, "Creat")
    refused = keeper.run("down")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"`mlinfn up` (process {process.pid}, since ")
    url = process.communicate(timeout=120)[0].splitlines()[0]
    assert process.returncode == 0
    assert url == f"{keeper.site.settings.instance} is up: http://localhost:{keeper.site.settings.port}"
    assert keeper.running() == SERVICES


def test_people_come_and_log_in(keeper):
    password = secrecy.run.keep(keeper.answer("users", "add", "anna", "--admin")["password"])
    assert keeper.answer("users", "change", "anna", "--no-admin", "--group", "cms")["groups"] == ["cms"]
    keeper.passwords["anna"] = secrecy.run.keep(keeper.answer("users", "password", "anna")["password"])
    assert keeper.passwords["anna"] != password
    secrecy.run.keep(keeper.answer("users", "add", "bob")["password"])
    assert keeper.answer("users", "remove", "bob") == {"removed": "bob"}
    assert [each["name"] for each in keeper.answer("users", "list")] == ["anna"]
    assert "There is no GPU to lend." in keeper.run("gpus").stdout
    assert keeper.answer("images", "list")[0]["here"] is True
    assert keeper.answer("images", "build") == {"images": ["lab"], "built": True}


@pytest.fixture(scope="module")
def lab(keeper):
    """The container of Anna's lab."""
    visitor = Visitor(keeper.site.settings.port)
    assert visitor.log_in("anna", keeper.passwords["anna"]).ok
    visitor.api().start("anna")
    (container,) = compose.labs(keeper.site)
    return container["Id"]


def test_labs_are_listed_with_what_they_hold(keeper, lab):
    (found,) = keeper.answer("labs")
    assert (found["user"], found["state"], found["profile"], found["memory"], found["cpus"]) == (
        "anna", "running", "lab", 2**29, 1.0)  # fmt: skip
    assert found["active"] >= found["since"]
    line = keeper.run("labs", "list").stdout.splitlines()[1].split()
    assert line[:5] == ["anna", "lab", found["image"], "0.5G", "1"]
    assert [*hub_api.servers(keeper.site.settings, page=1)] == [("anna", "")]
    until(lambda: offered(keeper, "mlinfn labs stop a") == "anna", 20, "TAB to offer her")


def offered(keeper: Keeper, words: str) -> str:
    """What the TAB key offers after these words."""
    typed = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_MLINFN_COMPLETE": "complete_bash",
             "MLINFN_CONFIG": str(keeper.site.config)}  # fmt: skip
    return subprocess.run([MLINFN], env={**os.environ, **typed}, text=True, capture_output=True).stdout.strip()


def test_an_interrupted_up_leaves_services_and_labs_as_they_were(keeper, lab):
    """Without subdomains, the proxy is made anew; Ctrl-C comes in the middle of that."""
    keeper.change("#subdomains: true", "subdomains: false")
    process = keeper.start("up")
    read_until(process, "Recreate")
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said.splitlines()[-1]) == (
        1, "Interrupted. The services that ran before go on, and so do labs. To finish: mlinfn up")  # fmt: skip
    assert keeper.running() == SERVICES
    assert [each["Id"] for each in compose.labs(keeper.site)] == [lab]
    assert keeper.run("up").returncode == 0


def test_how_it_is_is_said_in_one_screen(keeper, lab):
    found = {each["title"]: each for each in keeper.answer("status")["findings"]}
    assert {found[title]["level"] for title in ("Docker", "Services", "Hub", "Guard", "Labs")} == {"green"}
    assert found["Labs"]["reason"] == "1 lab running, of 1 person."
    assert found["Backups"]["remedy"].startswith("write `backup:")
    assert set(found) < {each["title"] for each in json.loads(keeper.run("doctor", "--json").stdout)["findings"]}
    assert len(keeper.run("status").stdout.splitlines()) <= 24
    assert keeper.answer("backup", "status")["level"] == "amber"
    assert keeper.run("alerts").returncode == 2
    assert any("hub" in line for line in keeper.run("logs", "hub", "--tail", "3").stdout.splitlines())


def test_logs_are_followed_until_ctrl_c(keeper, lab):
    process = keeper.start("logs", "guard", "--follow")
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    assert (process.communicate(timeout=30)[1], process.returncode) == ("", 0)


def test_status_answers_within_a_second_with_20_labs(keeper, lab):
    """Time of the processor, which does not depend on what else the machine does; the first time is not counted."""
    instance = keeper.site.settings.instance
    labels = [f"--label=it.infn.mlinfn.instance={instance}", "--network=none", "--entrypoint=sleep"]

    def make(number: int) -> None:
        name = [f"--name={instance}-many-{number}", f"--label=it.infn.mlinfn.user=member-{number}"]
        cli_engine.docker("run", "--detach", *labels, *name, f"mlinfn/guard:{__version__}", "300", timeout_s=60)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(LABS - 1)))
    took = []
    for _ in range(3):
        before = os.times()
        said = keeper.run("status").stdout
        after = os.times()
        took.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert f"{LABS} labs running, of {LABS} people." in said
    assert min(took[1:]) < SECOND


def test_a_lab_is_stopped_by_its_name(keeper, lab):
    unknown = keeper.run("labs", "stop", "zoe")
    assert (unknown.returncode, "zoe has no lab. There is: anna." in unknown.stderr) == (2, True)
    assert keeper.answer("labs", "stop", "anna") == {"stopped": ["anna"]}
    until(lambda: lab not in {each["Id"] for each in compose.labs(keeper.site)}, 20, "the container to go")
    assert keeper.answer("labs", "stop", "--all") == {"stopped": []}
    assert keeper.run("labs", "stop").returncode == 2


def test_other_logins_are_asked_what_they_can_answer(keeper):
    assert keeper.run("users", "relink", "anna").returncode == 2
    kept = keeper.run("iam", "client", "x", "--stdin", "--json", typed="y\n")
    assert json.loads(kept.stdout)["client_id"] == "x"
    assert keeper.run("demo", "passwords").returncode == 2


def test_down_and_status_say_so(keeper):
    assert keeper.run("down").stdout.startswith(f"The services of {keeper.site.settings.instance} are stopped.")
    assert keeper.running() == set()
    done = keeper.run("status")
    assert (done.returncode, "BAD  Services         None is there." in done.stdout) == (1, True)
