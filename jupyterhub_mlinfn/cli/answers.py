"""The questions of `mlinfn init`, and what their answers come to in mlinfn.yaml.

To add one, write the field, with the question below it, and what it sets in `values`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ..hosts import is_address, is_of_this_machine
from ..settings import Settings
from ..settings_backup import Target
from ..settings_errors import Document, problems_of
from ..settings_tls import PEM
from ..settings_types import ROOT_WORDS, Clashes, Group, Hostname, Issuer, Memory, Model, Reference, Slug, text_like
from ..settings_words import Words

OURS = ("lab", "lab-ml", "lab-conda")
"""Images that the example has lines for."""
Address = text_like(r"^[^@\s]+@[^@\s]+$", "an address such as keeper@example.org")
Server = text_like(r"^[^:\s]+:\d+$", "a mail server and its port, such as mail.example.org:587")


class Answers(Model):
    host: Hostname = "localhost"
    """The name that people type into their browsers. localhost: for trying out, or behind an SSH tunnel."""
    tls: Literal["acme", "files", "self-signed", "plain"] = "self-signed"
    """How browsers know that it is you. acme: by Let's Encrypt; files: by a certificate of yours; self-signed: by an
    authority of our own, for a closed network; plain: not at all, and everybody on the way reads along."""
    provider: Slug | None = None
    """Who keeps your DNS records, as lego calls them, such as rfc2136. Without, labs have no names of their own."""
    certificate: PEM | None = None
    """The path of your certificate, such as /etc/ssl/hub/cert.pem."""
    key: PEM | None = None
    """The path of its key."""
    port: int = Field(8000, ge=1024, le=65500)
    """The public port. This one and the next 19 belong to us."""
    root: Annotated[Path, Words(ROOT_WORDS)] = Path("/srv/mlinfn")
    """The folder of all data, on a disk with room for everybody's files."""
    login: Literal["demo", "local", "iam"] = "demo"
    """How people log in. demo: made-up people, for trying out; local: a password each; iam: your INDIGO IAM."""
    issuer: Issuer | None = None
    """The address of your IAM, such as https://iam.example.org."""
    groups: tuple[Group, ...] = ()
    """The groups that share a folder, such as ml-infn cms. With iam, their members and nobody else may log in."""
    admins: tuple[Group, ...] = ()
    """The groups of your IAM whose members administer, such as ml-infn/keepers."""
    images: tuple[Reference, ...] = ("lab",)
    """What people pick from: lab, lab-ml (machine learning), lab-conda, or references of other images."""
    memory: tuple[Memory, ...] = Field(("2G", "4G", "8G"), min_length=1)
    """The memory sizes that they choose from. The first is preselected."""
    gpus: int = Field(2, ge=0)
    """Most GPUs for one person, where this machine has any."""
    backup: tuple[Target, ...] = ("/srv/backup",)
    """Where backups go: folders, best on another disk, or s3:, sftp: or rclone: and what restic has behind it."""
    mail: Address | None = None
    """Who gets mail when something is wrong, such as keeper@example.org."""
    mail_server: Server = "localhost:25"
    """The mail server that takes it."""

    def clashes(self) -> Clashes:
        if self.login == "iam" and not self.groups:
            yield ("groups",), "is empty, so nobody could log in. Write the groups whose members may."
        if "tls" in self.model_fields_set and is_of_this_machine(self.host):
            yield ("tls",), f"is for a name that others type, and `host` is {self.host}. Leave it out."
        for index, image in enumerate(self.images):
            if "/" not in image and image not in OURS:
                yield ("images", index), f"there is no image {image} of ours. There is: {', '.join(OURS)}."
            if slug(image) in map(slug, self.images[:index]):
                yield ("images", index), f"another one is called {slug(image)} already. Add this one later."
        yield from _clashes_there(self)


ANSWERS = {("iam", "issuer"): "issuer", ("iam", "allowed_groups"): "groups", ("iam", "admin_groups"): "admins",
           ("sizes", "memory"): "memory", ("backup", "targets"): "backup", ("tls", "mode"): "tls",
           ("tls", "certificate"): "certificate", ("tls", "key"): "key"}  # fmt: skip
"""Path in mlinfn.yaml -> the question that it comes from, where that is not called like the path's first key."""


def _clashes_there(answers: Answers) -> Clashes:
    """What does not fit together in the settings that these answers come to."""
    data: dict[str, Any] = {}
    for (*above, key), value in values(answers):
        inner = data
        for step in above:
            inner = inner.setdefault(step, {})
        inner[key] = value
    try:
        Settings.model_validate({**data, "images": ()})
    except ValidationError as refused:
        for error in refused.errors():
            for more, text in error.get("ctx", {}).get("found", ()):
                steps = (*error["loc"], *more)
                yield (ANSWERS[steps[:2]], *steps[2:]) if steps[:2] in ANSWERS else steps[:1], text


def slug(image: str) -> str:
    """The short name that an image gets."""
    short = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return re.sub(r"[^a-z0-9]+", "-", short.lower()).strip("-")


def _has_iam(given: Mapping[str, Any]) -> bool:
    return given.get("login") == "iam"


def _is_public(given: Mapping[str, Any]) -> bool:
    return not is_of_this_machine(given.get("host") or "localhost")


WHEN: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "tls": _is_public, "provider": lambda given: given.get("tls") == "acme",
    "certificate": lambda given: given.get("tls") == "files", "key": lambda given: given.get("tls") == "files",
    "issuer": _has_iam, "admins": _has_iam, "mail_server": lambda given: bool(given.get("mail"))}  # fmt: skip
"""Questions that mean something only after certain answers to those before."""


def is_asked(name: str, given: Mapping[str, Any]) -> bool:
    """Whether the question is asked after the answers that were given before."""
    return name not in WHEN or WHEN[name](given)


def values(answers: Answers) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What the answers come to in mlinfn.yaml: path and value. `images` has references and names of ours."""
    yield ("root",), str(answers.root)
    yield ("port",), answers.port
    yield ("host",), answers.host
    yield ("login",), answers.login
    yield ("subdomains",), not (is_address(answers.host) or (answers.tls == "acme" and not answers.provider))
    if not is_of_this_machine(answers.host):
        yield from _tls_values(answers)
    if answers.login == "iam":
        yield ("iam", "issuer"), answers.issuer
        yield ("iam", "allowed_groups"), list(answers.groups)
        yield ("iam", "admin_groups"), list(answers.admins)
    elif answers.groups:
        yield ("groups",), list(answers.groups)
    yield ("images",), list(answers.images)
    yield ("sizes", "memory"), list(answers.memory)
    yield ("gpus", "per_server"), answers.gpus
    yield ("gpus", "per_person"), answers.gpus
    yield ("backup", "targets"), list(answers.backup)
    if answers.mail:
        yield ("monitoring", "alerts"), {"email_configs": [_mail(answers)]}


def _mail(answers: Answers) -> dict[str, Any]:
    """Alertmanager's receiver. To this machine itself, mail goes as it is: nobody signs a certificate for localhost."""
    here = is_of_this_machine(answers.mail_server.rpartition(":")[0])
    mail = {"to": answers.mail, "from": answers.mail, "smarthost": answers.mail_server}
    return {**mail, "require_tls": False} if here else mail


def _tls_values(answers: Answers) -> Iterator[tuple[tuple[str, ...], Any]]:
    if answers.tls == "plain":
        yield ("tls", "plain_http"), "accepted"
        return
    yield ("tls", "mode"), answers.tls
    if answers.tls == "acme":
        yield ("tls", "acme", "challenge"), "dns" if answers.provider else "http"
        yield ("tls", "acme", "provider"), answers.provider or ""
        yield ("tls", "acme", "email"), answers.mail or ""
    if answers.tls == "files":
        for name in ("certificate", "key"):
            yield ("tls", name), str(path) if (path := getattr(answers, name)) else None


def wrong(name: str, value: Any, given: Mapping[str, Any]) -> str:
    """What is wrong with an answer, after those that were given before; empty if nothing is."""
    try:
        Answers.model_validate({**given, name: value})
    except ValidationError as refused:
        found = problems_of(Document({}), Answers, refused)
        return next((each.text for each in found if each.path.partition("[")[0] == name), "")
    return ""
