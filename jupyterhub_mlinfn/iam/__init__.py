"""Logging in with INDIGO IAM, or another OpenID provider that gives groups."""

from .authenticator import IAMAuthenticator
from .service import Trouble

__all__ = ["IAMAuthenticator", "Trouble"]
