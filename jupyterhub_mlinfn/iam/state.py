"""What the hub remembers of a login, encrypted in its database: JupyterHub's auth_state, with two times of ours.

    {"access_token": ..., "refresh_token": ..., "scope": [...], "oauth_user": {claims}, "token_response": {...},
     "obtained": epoch seconds by our clock when the access token came, "expires": when it ends}

One that has "ended" set is of somebody whose login is over for good; only a new login helps them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ..discovery import Outage

State = dict[str, Any]
TOKEN = re.compile(r"[\x21-\x7e]{1,20000}")
"""A token that fits in a header and on one line of a file."""
UNKNOWN_LIFE_S = 600
LONGEST_LIFE_S = 366 * 86400


def received(answer: Mapping[str, Any], now: float) -> State:
    """The token endpoint's answer, checked, with the time it came. Raises Outage if there is no usable token in it."""
    usable = [key for key in ("access_token", "refresh_token", "id_token") if _is_token(answer.get(key))]
    if "access_token" not in usable or str(answer.get("token_type", "Bearer")).lower() != "bearer":
        raise Outage("server_error")
    scope = answer.get("scope")
    kept = {"scope": scope} if isinstance(scope, str) else {}
    return {**{key: answer[key] for key in usable}, **kept, "token_type": "Bearer", "obtained": now,
            "expires_in": life_s(answer.get("expires_in"))}  # fmt: skip


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and bool(TOKEN.fullmatch(value))


def life_s(expires_in: Any) -> float:
    """Seconds that a token lives, from `expires_in` as it came; a cautious guess if that is no such number."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError, OverflowError):
        return UNKNOWN_LIFE_S
    return min(seconds, LONGEST_LIFE_S) if math.isfinite(seconds) and seconds > 0 else UNKNOWN_LIFE_S


def dated(state: State, before: State | None = None) -> State:
    """The state with its times, and without the id token, which has done its work.

    `turn` orders the states of one person, also when our clock is set back between one and `before`.
    """
    response = {key: value for key, value in state["token_response"].items() if key != "id_token"}
    obtained = response.get("obtained", 0.0)
    turn = max(obtained, before.get("turn", 0.0) + 0.001 if before else 0.0)
    times = {"obtained": obtained, "expires": obtained + response.get("expires_in", 0.0), "turn": turn}
    return {**state, **times, "id_token": None, "token_response": response}


def renew_at(state: Mapping[str, Any]) -> float:
    """When a new access token is due (epoch seconds), so that it is always good for ten minutes or half its life."""
    if not state.get("refresh_token"):
        return state["expires"]  # there will be no other
    life = state["expires"] - state["obtained"]
    return state["expires"] - min(600.0, life / 2) - min(60.0, life / 10)


def newest(*states: State | None) -> State | None:
    """The state that came last; of two equally old ones the first; one that has ended only if there is no other."""
    return max(filter(None, states), key=lambda s: (not s.get("ended"), s.get("turn", 0.0)), default=None)
