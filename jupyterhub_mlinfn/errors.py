"""What can go wrong, by who has to read it.

    MLINFNError
    ├── UserError       a member asked for something that cannot be had; shown to that member as it is
    └── OperatorError   the site's settings or machine are wrong; shown to the keeper, never to members

A message says what was asked, what is allowed, and what to do next. It never holds a token, a claim or a password.
Errors of Docker and of the operating system that are neither are bugs or outages, and travel as they are.
"""


class MLINFNError(Exception):
    """Base of both; never raised itself."""


class UserError(MLINFNError):
    """A refusal that its reader can act on. `reason` is a short, fixed word for metrics, such as "options"."""

    def __init__(self, message: str, *, reason: str = "options"):
        super().__init__(message)
        self.reason = reason


class OperatorError(MLINFNError):
    """Something that only the keeper can mend."""
