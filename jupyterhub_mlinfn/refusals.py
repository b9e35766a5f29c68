"""Why a lab did not start, in words for its member; the keeper finds the rest in the hub's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from docker.errors import APIError, DockerException
from jupyterhub.spawner import SpawnException

from .errors import OperatorError, UserError

NOT_SET_UP = "This service is not set up rightly, so no lab can start. The keeper finds the reason in the hub's log."
REFUSED = "Docker could not make your lab. The keeper finds the reason in the hub's log."
SILENT = "Docker does not answer on this machine. Tell the keeper."


@contextmanager
def translated(name: str, log: logging.Logger) -> Iterator[None]:
    """Nothing; what goes wrong in the block, while a lab of `name` starts, becomes a SpawnException."""
    try:
        yield
    except UserError as error:
        raise exception(str(error), error.reason) from error
    except OperatorError as error:
        log.error("No lab for %s: %s", name, error)
        raise exception(NOT_SET_UP, "site") from error
    except APIError as error:
        log.error("The Docker Engine refused a lab for %s: %s", name, error)
        raise exception(REFUSED, "engine") from error
    except (DockerException, requests.RequestException) as error:
        log.error("The Docker Engine does not answer: %s", error)
        raise exception(SILENT, "engine") from error


def exception(message: str, reason: str) -> SpawnException:
    """What JupyterHub shows to the member."""
    error = SpawnException(message, reason=reason)
    # JupyterHub's failure page and form read only this attribute.
    error.jupyterhub_message = message
    return error
