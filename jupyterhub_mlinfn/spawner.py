"""MLINFNSpawner: from a member's words to a lab that answers. Calls the others in order, translates errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from docker.errors import APIError
from traitlets import Unicode, default

from . import container, form, metrics, options, refusals, starts, tokens
from .container import ContainerPlan, Lab
from .errors import OperatorError, UserError
from .gpus import Claimant, Lease, Wait, giving, glance, limits_of, parse
from .gpus.offer import picks
from .gpus.state import waiting_state
from .identity import Person, escape
from .options import Choice, Offer
from .passwd import add_person
from .ready import Watched, answers, guard_is_well, until_ready
from .references import with_tag
from .settings import bytes_of, seconds_of
from .software import SoftwareSpawner
from .traits import ModelTrait
from .volumes import Mount, software

MARGIN_S = 60
"""What a start may take beyond fetching and answering: creating the container when the disk is slow."""
PATIENCE_S = 15 * 60


class MLINFNSpawner(SoftwareSpawner):
    """Starts each member's lab in a container of their own, from a list of images, within limits, as their own uid.

    Works alone in any JupyterHub 6 (`c.JupyterHub.spawner_class = "mlinfn"`). Without `root` labs run as their image's
    own user, with a named volume as home.
    """

    version = Unicode("latest", config=True, help="Tag of the project's own images that are named without one.")
    contact = ModelTrait("contact")
    images = ModelTrait("images")
    profile_list = ModelTrait("profile_list")
    unlisted_images = ModelTrait("unlisted_images")
    sizes = ModelTrait("sizes")
    limits = ModelTrait("limits")
    guard_url = Unicode("", config=True, help="Where the guard says whether the firewall is in place. Empty: no guard.")

    watched, begun = Watched(), starts.Start()

    @default("prefix")
    def _default_prefix(self):
        return f"{self.instance}-lab"

    @default("start_timeout")
    def _default_start_timeout(self):
        limits = (self.starting.pull_limit, self.gpus.wait, self.starting.ready_limit)
        return sum(map(seconds_of, limits)) + MARGIN_S

    @default("http_timeout")
    def _default_http_timeout(self):
        # A start has waited already when JupyterHub does. This is what a hub that comes back gives a lab that runs and
        # does not answer at the moment, before it takes it for dead.
        return max(seconds_of(self.starting.ready_limit), PATIENCE_S)

    @default("options_form")
    def _default_options_form(self):
        return _draw

    @default("options_from_form")
    def _default_options_from_form(self):
        return lambda formdata, spawner=None: options.from_form(formdata)

    @default("apply_user_options")
    def _default_apply_user_options(self):
        return _check

    def options_from_query(self, query):
        """Refuses: a link fills the form in and starts nothing."""
        form.refuse_query(self.log)

    def _object_name_default(self):
        server = f".{escape(self.name)}" if self.name else ""  # no safe name has a dot, so no two labs share one
        return f"{self.prefix}-{escape(self.user.name)}{server}"

    @property
    def offer(self) -> Offer:
        """What this member may pick, by their groups of now."""
        if self.room:
            return self.room_offer(self.room)
        pickable = picks(self.lending.classes, limits_of(self.in_groups, self.gpus))
        return options.offer(options.with_gpus(self.profiles(), pickable), self.in_groups)

    def profiles(self) -> tuple:
        """All profiles of the site; the spawner's own `image` where nothing is offered by name."""
        listed = options.profile_list_of(self)
        listed += options.host_profiles(self.host_images, self.images_here, self)
        if not listed:
            listed = [{"display_name": "JupyterLab", "slug": "lab", "kubespawner_override": {"image": self.image}}]
        return options.parse_profiles(listed)

    def choose(self) -> Choice:
        """The member's choice with a full image reference and limits. Raises UserError.

        A pasted profile may leave the limits out; no lab runs without: then it is the first of the site's `sizes`.
        """
        choice = options.parse(self.user_options, self.offer)
        memory = choice.memory or self.mem_limit or bytes_of(self.sizes.memory[0])
        cpus = choice.cpus or self.cpu_limit or float(self.sizes.cpus[0])
        image = with_tag(choice.image or self.image, self.version)
        return replace(choice, image=image, memory=memory, cpus=cpus)

    async def start(self):
        """Address and port of a lab that answers. Raises SpawnException in words for the member."""
        self.watched, self.begun = Watched(), starts.Start()
        with self.begun.counted(self.start_timeout), refusals.translated(self.user.name, self.log):
            await self.known()
            choice = self.choose()
            self.begun.profile = choice.profile
            await self._require_guard()
            self.begun.spent("queue")
            await self._fetch(choice)
            self.begun.spent("pull")
            await self.make_room()  # a container of before would hold the GPU that this start waits for
            async with self._lease(choice) as lease:
                await self._launch(choice, lease)
            self.check_gpus(lease)
            address = await self._ready(choice)
            self.begun.spent("boot")
            return address

    @asynccontextmanager
    async def _lease(self, choice: Choice) -> AsyncIterator[Lease]:
        """The GPUs that were chosen, which the container has to be created with before the block ends."""
        request, asked = parse(choice.gpus, self.lending.classes), time.monotonic()
        self._has_asked = True
        members = {group.name: frozenset(user.name for user in group.users) for group in self.user.groups}
        async with self.lending.pool.claim(Claimant(self.user.name, self.name, members), request, self._tell) as lease:
            if lease.gpu_class:
                metrics.gpu_given(lease.gpu_class.slug, time.monotonic() - asked)
            yield lease

    def _tell(self, wait: Wait) -> None:
        show = self.gpus.show_holders
        self.watched.say(71, wait.sentence(show), waiting=waiting_state(wait, show_holders=show))

    async def _launch(self, choice: Choice, lease: Lease) -> None:
        self.watched.say(72, "Waiting for a turn to start")
        async with self.turns:
            self.begun.spent("queue")
            person = self.person()
            plan = await self._plan(choice, person, lease)
            try:
                await self.with_software(plan, lambda plan: self._make(plan, person, choice))
            except BaseException:
                await self.discard()
                raise
            self.begun.spent("create")

    async def _make(self, plan: ContainerPlan, person: Person, choice: Choice) -> None:
        self.watched.say(75, f"Creating the container of {choice.title}")
        await self._create(plan, person)
        await self.put_view(choice)
        self.watched.say(85, f"Starting {choice.title}")
        await self._run(choice)

    async def _require_guard(self) -> None:
        if self.guard_url and not await guard_is_well(self.guard_url):
            keeper = f"the keeper ({self.contact})" if self.contact else "the keeper"
            raise UserError(
                "The firewall that keeps labs apart is not in place, so no lab is started now. "
                f"Try again in a minute; if it stays so, tell {keeper}.",
                reason="guard",
            )

    async def _fetch(self, choice: Choice) -> None:
        async for progress in self.puller.fetch(choice.image, seconds_of(self.starting.pull_limit)):
            self.watched.say(int(progress.percent * 0.7), progress.sentence(choice.image))

    async def _plan(self, choice: Choice, person: Person, lease: Lease) -> ContainerPlan:
        by = giving.way(lease, self.gpus.driver, self.lending.is_simulated)
        lab = Lab(self.instance, person, self.name, lease, by, self.has_root, self.room_name)
        image = (await self.docker("inspect_image", choice.image))["Config"]
        mounts = (*await self._folders(person, image), *await self.token_mounts(person), *software(self.cvmfs))
        base = {
            "image_labels": image.get("Labels") or {},
            "environment": {**self.get_env(), **(tokens.ENVIRONMENT if self.carries_token else {})},
            "command": [*self._command(choice, image), *self.view_arguments(choice)],
            "port": self.port,
            "network": self.network_name,
            "create": self.extra_create_kwargs,
            "host": self._site_host(),
        }
        return container.plan(lab, choice, mounts, base, self.limits)

    def _site_host(self) -> dict[str, Any]:
        host = dict(self._eval_if_callable(self.extra_host_config))
        if refused := container.refused_keys(host):
            raise OperatorError(f"extra_host_config may not hold {', '.join(refused)}: no lab gets these.")
        if not self.use_internal_ip:
            host["port_bindings"] = {self.port: (self.host_ip,)}
        return host

    async def _folders(self, person: Person, image: Mapping[str, Any]) -> tuple[Mount, ...]:
        if self.root:
            return await self.folder_mounts(person)
        folder = image.get("WorkingDir") or "/home/jovyan"
        return (Mount(f"{self.prefix}-home-{person.safe_name}", folder, volume=True),)

    def _command(self, choice: Choice, image: Mapping[str, Any]) -> list[str]:
        # An image without a command gets JupyterHub's own, and a clear message if that is missing.
        command = choice.overrides.get("cmd") or self.cmd or image.get("Cmd") or ["jupyterhub-singleuser"]
        command = [command] if isinstance(command, str) else list(command)
        return command + list(choice.overrides.get("args") or self.get_args())

    async def _create(self, plan: ContainerPlan, person: Person) -> None:
        self.object_id = await self._created(plan)
        if person.uid is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self.executor, add_person, self.client, self.object_id, person, self.has_root)

    async def _created(self, plan: ContainerPlan) -> str:
        """The id of the container. What of the site's own folders is not there at the moment is left out."""
        host = self.client.create_host_config(**plan.host)
        try:
            return await self.create(name=self.object_name, host_config=host, **plan.create)
        except APIError as error:
            plan, missing = container.without_missing(plan, error.explanation or "")
            if not missing:
                raise
        self.log.warning("The folder %s is not there: the lab of %s starts without it", missing, self.user.name)
        self.watched.say(75, f"The folder {missing} is not there at the moment: your lab starts without it")
        return await self._created(plan)

    async def _run(self, choice: Choice) -> None:
        try:
            await self.docker("start", self.object_id)
        except APIError as error:
            why = container.explain_exit({"Error": error.explanation}, "", choice.memory)
            raise UserError(f"{choice.title} could not be started. {why}", reason="start") from error

    async def _ready(self, choice: Choice) -> tuple[str, int]:
        self.watched.say(90, f"Waiting for {choice.title} to answer")
        address = await self.get_ip_and_port()
        url = f"http://{address[0]}:{address[1]}{self.server.base_url}api"
        limit_s = seconds_of(self.starting.ready_limit)
        state = await until_ready(lambda: answers(url), self.container_state, limit_s)
        if state is not None:
            log = await self.docker("logs", self.object_id, tail=15, stdout=True, stderr=True)
            why = container.explain_exit(state, log.decode(errors="replace"), choice.memory)
            await self.stop(now=True)
            raise UserError(f"{choice.title} did not come up. {why}", reason="exited")
        return address

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Events of this start from its beginning, however late somebody looks."""
        async for event in self.watched.events():
            yield event


async def _draw(spawner: MLINFNSpawner) -> str:
    await spawner.known()
    shown = None if spawner.room else await glance.form(spawner.lending, spawner.in_groups)
    offer = await spawner.with_notes(spawner.offer)
    return form.render(offer, spawner.user_options, form.linked(spawner.handler), spawner.contact, shown)


async def _check(spawner: MLINFNSpawner, user_options: Mapping[str, Any]) -> None:
    """Refuses what is not offered before anything begins; `start` parses again and keeps the result."""
    await spawner.known()
    try:
        options.parse(user_options, spawner.offer)
    except UserError as error:
        starts.refused(error)
        raise refusals.exception(str(error), error.reason) from error
