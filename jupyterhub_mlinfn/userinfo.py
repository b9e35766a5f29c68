"""Who somebody is, for services that know OpenID and no hub: Grafana tells people apart by `sub`, and by nothing else.

Without one it takes whoever comes a second time for somebody new, of whose name there is one already.
"""

from __future__ import annotations

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.user import User
from tornado.web import HTTPError

PATH = r"/api/mlinfn/userinfo"


class UserinfoHandler(APIHandler):
    """`GET /hub/api/mlinfn/userinfo` with a person's token: their name as `sub`, and what else it may know of them."""

    SUPPORTED_METHODS = ("GET",)

    async def get(self) -> None:
        """Their name as `sub`, and what else this token may know of them.

        Who: a person
        Answer: `{"sub": "anna", "name": "anna", "admin": false, "groups": ["cms"]}`
        Otherwise: 403 for who is nobody, or a service
        """
        if not isinstance(self.current_user, User):
            raise HTTPError(403, "This needs the token of a person.")
        self.write({"sub": self.current_user.name, **self.user_model(self.current_user)})


def handlers() -> list[tuple]:
    """For JupyterHub's `extra_handlers`."""
    return [(PATH, UserinfoHandler)]
