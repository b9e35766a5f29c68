"""JupyterHub configuration of the picker's tests: our form and pages, with labs that are one small process each.

The labs are not what is tested here; tests/docker starts real ones. `data/site.json` beside the database says
which profiles there are, who is in which group, and what the spawner does; `gpus.json` which GPUs there are.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from jupyterhub.auth import Authenticator
from jupyterhub.spawner import LocalProcessSpawner, SpawnException

from jupyterhub_mlinfn import form, gpu_api, options
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.gpus import Claimant, glance, limits_of, parse, picks
from jupyterhub_mlinfn.gpus.state import waiting_state
from jupyterhub_mlinfn.ready import Watched

sys.path.insert(0, str(Path(__file__).parent))
import picker_gpus

PORT = int(os.environ["PICKER_PORT"])
SITE = json.loads(Path("site.json").read_text())
PROFILES = options.parse_profiles(SITE["profile_list"])
LAB = Path(os.environ["PICKER_LAB"])
LENDING = picker_gpus.lending()


class PeopleOfTheTest(Authenticator):
    """Lets in whoever site.json names, with their own name as password."""

    async def authenticate(self, handler, data):
        name = data["username"]
        known = name in SITE["people"] and data["password"] == name
        return {"name": name, "groups": SITE["people"][name]} if known else None


class SmallLab(LocalProcessSpawner):
    """Starts a process that answers every address; profiles called `slow` and `broken` do what they say."""

    watched = Watched()
    lending = LENDING

    @property
    def in_groups(self):
        return [group.name for group in self.user.groups]

    @property
    def offer(self):
        pickable = picks(LENDING.classes, limits_of(self.in_groups, LENDING.gpus))
        return options.offer(options.with_gpus(PROFILES, pickable), self.in_groups)

    def options_from_query(self, query):
        form.refuse_query(self.log)

    async def progress(self):
        async for event in self.watched.events():
            yield event

    def tell(self, wait):
        self.watched.say(71, wait.sentence(True), waiting=waiting_state(wait, show_holders=True))

    async def start(self):
        self.watched = Watched()
        for percent in range(0, 60, 20):
            self.watched.say(percent, f"Fetching the image: {percent} of 60 MB")
        async with LENDING.pool.claim(Claimant(self.user.name), parse(self.choice.gpus, LENDING.classes), self.tell):
            self.watched.say(70, "Starting the container <b>now</b>")
            return await self.launch()

    async def launch(self):
        with Path("starts.jsonl").open("a") as starts:
            starts.write(json.dumps({"user": self.user.name, **self.choice.words}) + "\n")
        if self.choice.profile == "slow":
            await asyncio.Event().wait()
        if self.choice.profile == "broken":
            await asyncio.sleep(1.5)
            raise refusal(SITE["failure"], "died")
        return await super().start()

    def user_env(self, env):
        return env

    def make_preexec_fn(self, name):
        return None


async def draw(spawner):
    shown = await glance.form(LENDING, spawner.in_groups)
    return form.render(spawner.offer, spawner.user_options, form.linked(spawner.handler), SITE["contact"], shown)


def choose(spawner, user_options):
    try:
        spawner.choice = options.parse(user_options, spawner.offer)
    except UserError as error:
        raise refusal(str(error), error.reason) from None


def refusal(text, reason):
    error = SpawnException(text, reason=reason)
    error.jupyterhub_message = text
    return error


c = get_config()  # noqa: F821
c.JupyterHub.bind_url = f"http://127.0.0.1:{PORT}"
c.JupyterHub.subdomain_host = f"http://localhost:{PORT}"
c.JupyterHub.hub_port = PORT + 2
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PORT + 1}"
c.ConfigurableHTTPProxy.command = json.loads(os.environ["PICKER_PROXY"])
c.JupyterHub.authenticator_class = PeopleOfTheTest
c.Authenticator.allow_all = True
c.Authenticator.manage_groups = True
c.Authenticator.admin_users = {"keeper"}
c.JupyterHub.spawner_class = SmallLab
c.Spawner.cmd = [sys.executable, str(LAB)]
c.Spawner.options_form = draw
c.Spawner.options_from_form = options.from_form
c.Spawner.apply_user_options = choose
c.JupyterHub.template_paths = [str(form.TEMPLATES)]
c.JupyterHub.logo_file = str(form.LOGO)
c.JupyterHub.template_vars = {"contact": SITE["contact"], "hub_url": f"http://localhost:{PORT}/hub/"}
c.JupyterHub.extra_handlers = gpu_api.handlers(lambda: LENDING)
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
