"""The service `backup`, and what `mlinfn backup` has done in its container.

`python3 -m jupyterhub_mlinfn.backup` runs as scheduled until it is told to end; with a verb, that is done once.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..errors import OperatorError, UserError
from . import report, verbs
from .members import door
from .members.answers import Answers
from .place import Place
from .service import Service


def main() -> int:
    """Exit status: 0 well, 1 not, 2 asked for something that cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # Before restic takes away a lock it sends this to the process in it, whose number a thread of ours may have now.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    words = verbs.parser().parse_args()
    try:
        place = Place.from_environment(os.environ)
        if words.verb in (None, "serve"):
            return serve(place)
        said(answer=verbs.VERBS[words.verb](place, words, lambda told: said(progress=told)))
    except UserError as error:
        said(error=str(error))
        return 2
    except OperatorError as error:
        said(error=str(error), reason=getattr(error, "reason", "other"))
        return 1
    return 0


def said(**line: Any) -> None:
    """Print one line of JSON."""
    print(json.dumps(line), flush=True)


def serve(place: Place, environ: Mapping[str, str] = os.environ) -> int:
    """Exit status once it was told to end. A run under way is cut off, and made up for at the next start."""
    service = Service(place)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=service.go_on, daemon=True).start()
    port = int(environ["MLINFN_BACKUP_PORT"])
    door.server(Answers(place).answer, partial(report.answer, service), port).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
