"""What a test does to a hub from outside: its REST API, a member's browser session, and a lab's kernels."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import quote, urlsplit

import requests
import websocket
from requests.adapters import HTTPAdapter

from support.wait import until


class Failed(AssertionError):
    """A start that ended in a failure; the text is what its owner was told."""


class API:
    """The hub's REST API with a token that may do everything."""

    def __init__(self, port: int, token: str):
        self.port = port
        self.url = f"http://127.0.0.1:{port}/hub/api"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"token {token}"

    def request(self, method: str, path: str, **options) -> requests.Response:
        """The answer to one call, whatever its status."""
        return self.session.request(method, self.url + path, timeout=options.pop("timeout", 60), **options)

    def add_user(self, name: str) -> None:
        """The hub knows the person; the authenticator may still refuse them."""
        answer = self.request("POST", f"/users/{quote(name, safe='')}")
        assert answer.status_code in (201, 409), answer.text

    def user(self, name: str) -> dict:
        """The hub's model of a person."""
        return self.request("GET", f"/users/{quote(name, safe='')}").json()

    def server(self, name: str) -> dict | None:
        """The model of a person's lab, or None while there is none."""
        return self.user(name).get("servers", {}).get("")

    def ask(self, name: str, **options) -> requests.Response:
        """The answer to asking for a lab, whatever its status."""
        return self.request("POST", f"/users/{quote(name, safe='')}/server", json=options)

    def events(self, name: str, timeout_s: float = 120) -> Iterator[dict]:
        """The progress of a start as its page would show it, up to the last event."""
        path = f"/users/{quote(name, safe='')}/server/progress"
        with self.request("GET", path, stream=True, timeout=timeout_s) as answer:
            if answer.status_code == 400:  # it is over already
                yield {"ready": True} if (self.server(name) or {}).get("ready") else {"failed": True, **answer.json()}
            else:
                assert answer.ok, answer.text
            for line in answer.iter_lines(decode_unicode=True):
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def wait_ready(self, name: str, timeout_s: float = 120) -> list[dict]:
        """The events of a start that ended well. Raises Failed with the message if it did not."""
        events = []
        for event in self.events(name, timeout_s):
            events.append(event)
            if event.get("failed"):
                raise Failed(event["message"])
            if event.get("ready"):
                return events
        raise Failed(f"The progress ended without a result: {events[-3:]}")

    def start(self, name: str, timeout_s: float = 120, **options) -> Lab:
        """The lab of a person, once it is ready."""
        answer = self.ask(name, **options)
        if answer.status_code not in (201, 202):  # 201 also comes when a start has just failed
            raise Failed(answer.text)
        self.wait_ready(name, timeout_s)
        return self.lab(name)

    def lab(self, name: str) -> Lab:
        """The running lab of a person."""
        return Lab(self.session, self.port, self.server(name))

    def stop(self, name: str, timeout_s: float = 60) -> None:
        """Stop a person's lab and wait until the hub has forgotten it."""
        answer = self.request("DELETE", f"/users/{quote(name, safe='')}/server")
        assert answer.status_code in (202, 204), answer.text
        until(lambda: self.server(name) is None, timeout_s, f"{name}'s lab to stop")


class Lab:
    """A running lab, reached through the proxy with the tests' token."""

    def __init__(self, session: requests.Session, port: int, model: dict):
        self.session, self.port, self.model = session, port, model
        full = model.get("full_url") or model["url"]
        found = re.match(r"https?://([^/]+)(/.*)", full)
        self.host, self.path = found.groups() if found else (f"127.0.0.1:{port}", full)

    def request(self, method: str, path: str, **options) -> requests.Response:
        """The answer of the lab's own API."""
        url = f"http://127.0.0.1:{self.port}{self.path}{path}"
        headers = {"Host": self.host, **options.pop("headers", {})}
        return self.session.request(method, url, headers=headers, timeout=30, allow_redirects=False, **options)

    def kernel(self, name: str = "python3") -> Kernel:
        """A new kernel in the lab."""
        answer = self.request("POST", "api/kernels", json={"name": name})
        assert answer.status_code == 201, answer.text
        return Kernel(self, answer.json()["id"])

    def run(self, code: str, timeout_s: float = 30, kernel: str = "python3") -> str:
        """What code printed in a new kernel."""
        with self.kernel(kernel) as kernel:
            return kernel.run(code, timeout_s)

    def socket(self, path: str) -> websocket.WebSocket:
        """An open websocket of the lab."""
        header = [f"Authorization: {self.session.headers['Authorization']}"]
        return websocket.create_connection(f"ws://127.0.0.1:{self.port}{self.path}{path}", host=self.host,
                                           header=header, timeout=30, suppress_origin=True)  # fmt: skip


class Kernel:
    """A kernel and the websocket to it."""

    def __init__(self, lab: Lab, kernel_id: str):
        self.lab, self.id = lab, kernel_id
        self.socket = lab.socket(f"api/kernels/{kernel_id}/channels")

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *error) -> None:
        self.socket.close()

    def send(self, code: str) -> str:
        """The id of a request to run code; nothing is waited for."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": "",
                  "version": "5.3"}  # fmt: skip
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        self.socket.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content,
                                     "channel": "shell", "buffers": []}))  # fmt: skip
        return header["msg_id"]

    def wait_begun(self, request: str, timeout_s: float = 30) -> None:
        """Nothing, once the kernel works on the request."""
        self.socket.settimeout(timeout_s)
        message: dict = {}
        while (message.get("msg_type"), message.get("parent_header", {}).get("msg_id")) != ("execute_input", request):
            message = json.loads(self.socket.recv())

    def output(self, request: str, timeout_s: float = 30) -> str:
        """What the request printed, when it is done. Raises AssertionError with the traceback if it failed."""
        self.socket.settimeout(timeout_s)
        printed = ""
        while True:
            message = json.loads(self.socket.recv())
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":  # the reply may overtake the output
                return printed

    def run(self, code: str, timeout_s: float = 30) -> str:
        """What code printed, over a websocket of its own: one on which no ping is answered for 90 s, Jupyter closes."""
        with Kernel(self.lab, self.id) as fresh:
            return fresh.output(fresh.send(code), timeout_s)


class LikeBrowsers(DefaultCookiePolicy):
    """Keeps cookies for the domain `localhost`, which browsers do and Python does not, as cookies of the host."""

    def set_ok(self, cookie, request) -> bool:
        """Whether to keep the cookie."""
        if cookie.domain == ".localhost":
            cookie.domain = "localhost.local"  # what http.cookiejar calls the host localhost
            return True
        return super().set_ok(cookie, request)


class ToLoopback(HTTPAdapter):
    """Finds every name under localhost on loopback, which browsers do and the C library does not."""

    def send(self, request, **options) -> requests.Response:
        """The answer to one request. A redirect and cookies are about the name, so the request itself keeps it."""
        there, sent = urlsplit(request.url), request.copy()
        if there.hostname.endswith(".localhost"):
            sent.headers["Host"] = there.netloc
            sent.url = there._replace(netloc=f"127.0.0.1:{there.port}").geturl()
        answer = super().send(sent, **options)
        answer.request, answer.url = request, request.url
        return answer


class Visitor:
    """A person with a browser's cookies, but no scripts."""

    def __init__(self, port: int, host: str = "localhost"):
        self.port = port
        self.base = f"http://{host}:{port}"
        self.session = requests.Session()
        self.session.cookies.set_policy(LikeBrowsers())
        self.session.mount("http://", ToLoopback())

    def get(self, path: str, **options) -> requests.Response:
        """A page, redirects followed."""
        return self.session.get(self.base + path, timeout=60, **options)

    def post(self, path: str, form: dict, **options) -> requests.Response:
        """The answer to a form with the token against forged requests."""
        fields = {"_xsrf": self.session.cookies.get("_xsrf", path="/hub/"), **form}
        return self.session.post(self.base + path, data=fields, timeout=60, **options)

    def api(self) -> API:
        """The REST API as this person may use it, with a token that they make for themselves."""
        self.get("/hub/token")
        name = self.get("/hub/api/user").json()["name"]
        token = {"X-XSRFToken": self.session.cookies.get("_xsrf", path="/hub/")}
        url = f"{self.base}/hub/api/users/{quote(name, safe='')}/tokens"
        answer = self.session.post(url, json={"note": "a test"}, headers=token, timeout=30)
        assert answer.status_code == 201, answer.text
        return API(self.port, answer.json()["token"])

    def log_in(self, name: str, password: str) -> requests.Response:
        """The page after the login form was sent."""
        self.get("/hub/login")
        return self.post("/hub/login", {"username": name, "password": password})
