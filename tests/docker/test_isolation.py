"""What a lab does not reach, tried from inside one: the real stack, two members, code that runs as a notebook's would.

What is beyond this host is tried on an empty machine, in test_isolation_network.py.
"""

from __future__ import annotations

import json
import re
import socket
import threading

import pytest
from support.netns import KNOCK

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def listener():
    """A port of this host on which something echoes, on all addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        threading.Thread(target=_echo, args=[server], daemon=True).start()
        yield server.getsockname()[1]


def _echo(server: socket.socket) -> None:
    while True:
        try:
            with server.accept()[0] as caller:
                caller.sendall(caller.recv(100))
        except OSError:  # closed: the tests are over
            return


def knock(lab, kind: str, address: str, port: int, limit_s: float = 0.7) -> str:
    """ "open" if something there echoes to a program in the lab, else why not."""
    code = (
        "import subprocess, sys\n"
        f"words = [sys.executable, '-c', {KNOCK!r}, {kind!r}, {address!r}, '{port}', '{limit_s}']\n"
        "print(subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout)"
    )
    return lab.run(code).strip()


def connecting(address: str, port: int, limit_s: float = 1) -> str:
    """Code that prints "connected" or "refused", for servers that do not echo."""
    attempt = f"socket.create_connection({(address, port)!r}, timeout={limit_s})"
    return f"import socket\ntry: {attempt}; print('connected')\nexcept OSError: print('refused')"


def address_of(stack, name: str) -> str:
    return stack.lab_of(name).attrs["NetworkSettings"]["Networks"][f"{stack.instance}-labs"]["IPAddress"]


def test_the_hub_is_reached(stack, anna):
    code = f"import urllib.request as u; print(u.urlopen('http://{stack.gateway}:{stack.port + 2}/hub/api/').status)"
    assert anna.run(code) == "200\n"


@pytest.mark.parametrize(("kind", "port"), [("tcp", 7777), ("udp", 7778)], ids=["by TCP", "by UDP"])
def test_another_lab_is_not_reached(stack, anna, boris, kind, port):
    address = address_of(stack, "boris")
    echo = stack.lab_of("boris").exec_run(["python3", "-c", LISTENER, str(port)], stream=True)
    assert next(echo.output) == b"ready\n"
    assert knock(boris, kind, address, port, limit_s=5) == "open"
    assert knock(anna, kind, address, port) != "open"


LISTENER = """
import socket, sys, threading
where = ("0.0.0.0", int(sys.argv[1]))
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(where)
streams = socket.create_server(where)

def echo():
    while True:
        data, caller = datagrams.recvfrom(100)
        datagrams.sendto(data, caller)

threading.Thread(target=echo, daemon=True).start()
print("ready", flush=True)
while True:
    with streams.accept()[0] as caller:
        caller.sendall(caller.recv(100))
"""


def test_the_notebook_of_another_lab_is_not_reached(stack, anna, boris):
    listening = boris.run("import os; print(os.environ['JUPYTERHUB_SERVICE_URL'])")
    there = address_of(stack, "boris"), int(re.search(r":(\d+)", listening).group(1))
    assert boris.run(connecting(*there, limit_s=5)) == "connected\n"
    assert anna.run(connecting(*there)) == "refused\n"


@pytest.mark.parametrize("offset", [0, 1, 3], ids=["the proxy", "the proxy's API", "the guard"])
def test_services_of_the_instance_are_not_reached(stack, anna, offset):
    for address in (stack.gateway, "172.17.0.1"):
        assert anna.run(connecting(address, stack.port + offset)) == "refused\n"


def test_other_ports_of_the_host_are_not_reached(stack, anna, listener):
    with socket.create_connection((stack.gateway, listener)) as proof:
        proof.sendall(b"knock")
        assert proof.recv(100) == b"knock"
    for address in (stack.gateway, "172.17.0.1"):
        assert knock(anna, "tcp", address, listener) != "open"


def test_the_network_was_made_without_talk_between_labs(stack, anna):
    made = stack.engine.networks.get(f"{stack.instance}-labs").attrs
    assert made["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert made["EnableIPv6"] is False


def test_no_socket_of_the_engine_is_in_the_lab(cell):
    look = "import glob; print([p for d in ('/run', '/var/run') for p in glob.glob(d + '/**/*.sock', recursive=True)])"
    assert cell(look) == "[]\n"


def test_only_what_is_the_persons_is_mounted(stack, anna):
    mounts = {m["Destination"]: m["Source"] for m in stack.lab_of("anna").attrs["Mounts"]}
    theirs = {"/home/anna": "users/anna", "/shared": "shared", "/shared/anna": "shared/anna"}
    assert mounts == {target: str(stack.root / source) for target, source in theirs.items()}


def test_a_labs_own_token_opens_nobody_elses_lab_and_no_list_of_members(stack, cell, boris):
    ask = (
        "import json, os, urllib.request as u, urllib.error\n"
        "def ask(method, path):\n"
        "    head = {'Authorization': 'token ' + os.environ['JUPYTERHUB_API_TOKEN']}\n"
        "    url = os.environ['JUPYTERHUB_API_URL'] + path\n"
        "    try: return u.urlopen(u.Request(url, method=method, headers=head)).status\n"
        "    except urllib.error.HTTPError as error: return error.code\n"
    )
    boriss = "/users/boris/server"
    tries = [("GET", "/users"), ("GET", "/users/boris"), ("DELETE", boriss), ("POST", boriss), ("GET", "/proxy")]
    answers = json.loads(cell(f"{ask}print(json.dumps([ask(*words) for words in {tries!r}]))"))
    assert all(status in (403, 404) for status in answers), dict(zip(tries, answers, strict=True))
    assert boris.run("print('still here')") == "still here\n"


def test_exactly_one_secret_is_in_the_environment(stack, cell):
    environment = json.loads(cell("import json, os; print(json.dumps(dict(os.environ)))"))
    known = [path.read_text().strip() for path in (stack.root / "secrets/hub").iterdir()]
    assert not [name for name, value in environment.items() if value in known]
    assert [name for name in environment if re.search(r"TOKEN$|SECRET|PASSWORD", name)] in (
        ["JUPYTERHUB_API_TOKEN"], ["JPY_API_TOKEN", "JUPYTERHUB_API_TOKEN"], ["JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"],
    )  # fmt: skip
