"""Asking what runs on this machine."""

from __future__ import annotations

import urllib.request

ANSWER_S = 3
# A proxy for the outside world, set in the environment, is not asked about this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
