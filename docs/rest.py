"""Writes docs/reference/rest.md from the docstrings of what answers: .venv/bin/python docs/rest.py

A docstring of a method says what comes back and then, each on a line of its own, `Who:` may ask, what it `Takes:`, what
it `Answer:`s, and what comes `Otherwise:`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from jupyterhub_mlinfn import activity, backup_page, collab, export, gpu_api, restored_api, room_api, userinfo
from jupyterhub_mlinfn.backup_page.handlers import ROUTES as OF_BACKUPS
from jupyterhub_mlinfn.collab.handlers import ROUTES as OF_ROOMS

PAGE = Path(__file__).parent / "reference/rest.md"
OF_THE_HUB = (
    (gpu_api, gpu_api.GPUsHandler, ()),
    (room_api, room_api.RoomsHandler, ()),
    (restored_api, restored_api.RestoredHandler, ()),
    (userinfo, userinfo.UserinfoHandler, ()),
    (activity, activity.LabHandler, ("NAME", "SERVER")),
    (export, export.ExportHandler, ()),
)
FIELD = re.compile(r"^(Who|Takes|Answer|Otherwise): ", re.MULTILINE)
TOP = """# REST

<!-- Made by docs/rest.py from the docstrings of the handlers. -->

What the hub answers beside [JupyterHub's own API](https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html),
and what the pages of its services ask. Labs are started and stopped through JupyterHub's own, with [the spawn
options](spawn-options.md) as the body:

```sh
curl -H "Authorization: Bearer $TOKEN" http://localhost:8000/hub/api/mlinfn/gpus
curl -H "Authorization: Bearer $TOKEN" -X POST -d '{"profile": "lab", "memory": "4G"}' \\
    http://localhost:8000/hub/api/users/anna/server
```

A member makes a token at `/hub/token`. Who sends none, or one that is not good, gets 403. Errors are
`{"status": 409, "message": "…"}`, and the message is a sentence for people.
"""
OF_SERVICES = """## The pages of services

What the scripts of these pages ask. It is for browsers: each question comes with the visitor's cookie of that page,
orders with its XSRF token besides, and what is answered is about the visitor. Without a login it is 401; while the hub
is away, 503. Errors are `{"message": "…"}`. A program asks the hub instead.
"""


def page() -> str:
    """The whole page."""
    hub = (_section(f"/hub{_path(module.PATH, words)}", handler) for module, handler, words in OF_THE_HUB)
    pages = (*_of_page(collab.PAGE.prefix, OF_ROOMS), *_of_page(backup_page.PAGE.prefix, OF_BACKUPS))
    return "\n".join([TOP, "## The hub\n", *hub, OF_SERVICES, *pages])


def _of_page(prefix: str, routes: Iterable[tuple[str, type]]) -> Iterator[str]:
    for path, handler in routes:
        if path:
            yield _section(prefix + _path(path, ("ROOM" if "room" in path else "ID",)), handler)


def _path(pattern: str, words: tuple[str, ...]) -> str:
    """A pattern of tornado's as people write it: each group has its word, and one that may be missing has brackets."""
    left = list(words)
    pattern = re.sub(r"\(\?:/\(.*?\)\)\?", lambda _: f"[/{left.pop()}]", pattern)
    return re.sub(r"\([^()]*\)", lambda _: left.pop(0), pattern)


def _section(path: str, handler: type) -> str:
    methods = [name for name in ("get", "post", "delete") if name in vars(handler)]
    return "\n".join(f"### `{name.upper()} {path}`\n\n{_told(vars(handler)[name])}\n" for name in methods)


def _told(method: object) -> str:
    """The docstring as Markdown: sentences, then a list of what has a name."""
    first, *fields = FIELD.split(re.sub(r"\n +", " ", inspect.getdoc(method)))
    named = zip(fields[::2], fields[1::2], strict=True)
    rows = [f"- **{name}:** {' '.join(text.split())}" for name, text in named]
    return "\n".join([" ".join(first.split()), *([""] if rows else []), *rows])


if __name__ == "__main__":
    PAGE.write_text(page())
