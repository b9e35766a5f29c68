"""A site whose people log in at an identity service of the test's own, without a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from bs4 import BeautifulSoup

from support import places
from support.client import Visitor
from support.hub import show_log
from support.identity_service import IdentityService
from support.mini_lab import offer
from support.site import Site, closing_site
from support.wait import until

REFRESH_S = 2
LIFE_S = 12
CONTACT = "keeper@example.org"
# A metric is looked at without a token, and an answer that does not come is not waited for so long.
EXTRA = "c.JupyterHub.authenticate_prometheus = False\nc.IAMAuthenticator.timeout_s = 1\n"


class Institute:
    """A site and the identity service that its people are at."""

    def __init__(self, site: Site, service: IdentityService):
        self.site, self.service, self.api = site, service, None

    def start(self, image: str, login: str = "iam") -> Institute:
        """Both run; the hub has id and secret of its client. With `login="demo"` as in a fresh install."""
        self.service.start()
        site = self.site
        site.extra = EXTRA
        rules = {"issuer": self.service.issuer, "allowed_groups": ["demo"], "admin_groups": ["demo/keepers"]}
        iam = {"refresh": f"{REFRESH_S}s", **(rules if login == "iam" else {})}
        site.settings |= {"login": login, "iam": iam, "contact": CONTACT}
        site.make_folders()
        self.secret = site.root / f"secrets/hub/{login}_client_secret"
        self.secret.write_text(self.service.client_secret_file.read_text())
        self.secret.with_name("iam_client_id").write_text(self.service.client_id)
        site.start(**offer(image))
        self.api = site.api
        return self

    def log_in(self, name: str) -> Visitor:
        """A person's session at the hub."""
        visitor = self.site.visitor()
        page = visitor.get("/hub/oauth_login?next=/hub/home")
        form = BeautifulSoup(page.text, "html.parser").find("form", method="post")
        fields = {"username": name, "password": self.service.people[name]}
        page = visitor.session.post(urljoin(page.url, form["action"]), data=fields, timeout=30)
        assert urlsplit(page.url).path == "/hub/home", page.text
        return visitor

    def folder(self, name: str) -> Path:
        """Where the files of a person's lab are."""
        return self.site.root / "run/labs" / name

    def token(self, name: str) -> str:
        """The token in a person's lab as the lab sees it."""
        done = self.site.lab_of(name).exec_run(["cat", "/run/mlinfn/bearer_token"])
        assert done.exit_code == 0, done.output
        return done.output.decode()

    def wait_renewed(self, name: str) -> None:
        """Another token than now is in the lab, and the hub finds the identity service well."""
        old = self.token(name)
        until(lambda: self.token(name) != old and self.state()["ok"], 30, "a new token in the lab", every_s=0.2)

    def said_at(self, words: str) -> float:
        """When the hub's log last had these words, in epoch seconds. Raises AssertionError if it never did."""
        lines = [line for line in self.site.hub.text().splitlines() if words in line]
        assert lines, f"The hub's log does not say: {words}"
        return datetime.fromisoformat(re.match(r"\[\w (\S+ \S+) ", lines[-1])[1]).timestamp()

    def state(self) -> dict:
        """What `mlinfn status` reads."""
        return json.loads((self.site.root / "hub/identity-service.json").read_text())

    def metric(self, name: str) -> float:
        """One value of /hub/metrics."""
        shown = requests.get(f"http://127.0.0.1:{self.site.port}/hub/metrics", timeout=30).text
        return next(float(line.split()[-1]) for line in shown.splitlines() if line.startswith(name + " "))


@pytest.fixture(scope="module")
def found(mini_image, tmp_path_factory, proxy_command, engine, request) -> Iterator[Callable[..., Institute]]:
    """Call it with settings of an identity service for a running institute."""
    with ExitStack() as stack:

        def make(login: str = "iam", **settings) -> Institute:
            folder = tmp_path_factory.mktemp("institute")
            site = stack.enter_context(closing_site(Site(folder, places.test_name(), proxy_command, engine), request))
            public = f"http://localhost:{site.port}"
            told = {"redirect_uris": (f"{public}/hub/oauth_callback",), "access_s": LIFE_S, **settings}
            if login == "demo":  # it is reached through the site's own port
                told["issuer"] = f"{public}/demo-iam"
            service = IdentityService(folder, site.port + 4, **told)
            stack.callback(show_log, service, request)
            stack.callback(service.stop)
            return Institute(site, service).start(mini_image, login)

        yield make
