"""Who may enter by the rules of groups, from the token exchange to the model that the hub gets.

Carried over from oauthenticator's own cases for its generic authenticator, each with a member and with somebody who is
not one: nobody by default; `allow_all`; `allowed_users`; `admin_users` (allowed, and admin); `allowed_groups`;
`admin_groups` (allowed, and admin); `admin_groups` together with `allowed_groups`, in which an admin is in either or
both; `admin_users` who are in no admin group stay admins; who is in no admin group is no admin any more (False, not
None); `blocked_users` are out whatever else holds; with `manage_groups` the model has the groups, sorted, also of who
is allowed by other rules; groups from another claim by `auth_state_groups_key`, as a dotted name, a function and a
coroutine; rules of groups with `manage_groups` off are a mistake that is said. Ours: `owner_subject`, a slash in front
of configured groups, and WLCG's claim.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.hostile_issuer import PEOPLE, Issuer
from support.logins import authenticator, log_in

ANNA = "sub-anna"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """A provider where anna is in the groups cms and cms/ml."""
    with Issuer() as made:
        yield made


async def by_groups(auth_state: dict) -> list[str]:
    return auth_state["oauth_user"]["deep"]["groups"]


NO, YES, ADMIN = None, False, True
"""Not let in; let in; let in as an admin."""
CASES = [
    ("nothing is set", {}, NO, None),
    ("everybody", {"allow_all": True}, YES, None),
    ("a name", {"allowed_users": {"anna"}}, YES, None),
    ("another name", {"allowed_users": {"bob"}}, NO, None),
    ("an admin's name", {"admin_users": {"anna"}}, ADMIN, None),
    ("another admin's name", {"admin_users": {"bob"}}, NO, None),
    ("a group", {"allowed_groups": {"cms"}}, YES, None),
    ("a nested group", {"allowed_groups": {"cms/ml"}}, YES, None),
    ("a slash in front", {"allowed_groups": {"/cms/ml"}}, YES, None),
    ("another group", {"allowed_groups": {"atlas"}}, NO, None),
    ("the beginning of a group", {"allowed_groups": {"cm", "cms/m"}}, NO, None),
    ("a child of a group", {"allowed_groups": {"cms/ml/gpu"}}, NO, None),
    ("other letters", {"allowed_groups": {"CMS"}}, NO, None),
    ("an admin group", {"admin_groups": {"cms"}}, ADMIN, None),
    ("another admin group", {"admin_groups": {"atlas"}}, NO, None),
    ("both groups", {"allowed_groups": {"cms"}, "admin_groups": {"cms"}}, ADMIN, None),
    ("allowed, no admin", {"allowed_groups": {"cms"}, "admin_groups": {"atlas"}}, YES, False),
    ("admin, not allowed by group", {"allowed_groups": {"atlas"}, "admin_groups": {"cms/ml"}}, ADMIN, None),
    ("in neither", {"allowed_groups": {"atlas"}, "admin_groups": {"lhcb"}}, NO, None),
    ("a name and another group", {"allowed_users": {"anna"}, "allowed_groups": {"atlas"}}, YES, None),
    ("another name and a group", {"allowed_users": {"bob"}, "allowed_groups": {"cms"}}, YES, None),
    ("an admin's name, no admin group", {"admin_users": {"anna"}, "admin_groups": {"atlas"}}, ADMIN, None),
    ("a name, no admin group", {"allowed_users": {"anna"}, "admin_groups": {"atlas"}}, YES, False),
    ("blocked", {"allowed_groups": {"cms"}, "blocked_users": {"anna"}}, NO, None),
    ("the owner", {"owner_subject": ANNA}, ADMIN, None),
    ("another owner", {"owner_subject": "sub-bob"}, NO, None),
    ("allowed, not the owner", {"owner_subject": "sub-bob", "allowed_groups": {"cms"}}, YES, False),
    ("the owner, in no admin group", {"owner_subject": ANNA, "admin_groups": {"atlas"}}, ADMIN, None),
]


@pytest.mark.parametrize(("rules", "outcome", "admin"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_who_enters(issuer, tmp_path, rules, outcome, admin):
    issuer.reset()
    model = await log_in(authenticator(issuer, tmp_path, **rules), issuer)
    assert (model is not None) == (outcome is not NO)
    if model:
        assert model["name"] == "anna"
        assert model["groups"] == ["cms", "cms/ml"]
        assert model["admin"] is (True if outcome is ADMIN else admin)


async def test_wlcg_groups_are_the_same_groups(issuer, tmp_path):
    issuer.reset()
    issuer.person = {**{k: v for k, v in PEOPLE["anna"].items() if k != "groups"}, "wlcg.groups": ["/cms", "/cms/ml"]}
    model = await log_in(authenticator(issuer, tmp_path, allowed_groups={"cms"}), issuer)
    assert model["groups"] == ["cms", "cms/ml"]


@pytest.mark.parametrize(
    "key", ["oauth_user.deep.groups", lambda state: state["oauth_user"]["deep"]["groups"], by_groups],
    ids=["a dotted name", "a function", "a coroutine"],
)  # fmt: skip
async def test_groups_from_another_claim(issuer, tmp_path, key):
    issuer.reset()
    issuer.person = {**PEOPLE["anna"], "deep": {"groups": ["staff"]}}
    ours = authenticator(issuer, tmp_path, allowed_groups={"staff"}, auth_state_groups_key=key)
    assert (await log_in(ours, issuer))["groups"] == ["staff"]


@pytest.mark.parametrize("rule", ["allowed_groups", "admin_groups"])
def test_rules_of_groups_need_groups(issuer, tmp_path, rule):
    with pytest.raises(ValueError, match=r"requires .*manage_groups"):
        authenticator(issuer, tmp_path, manage_groups=False, **{rule: {"cms"}})


async def test_without_managed_groups_the_model_has_none(issuer, tmp_path):
    issuer.reset()
    model = await log_in(authenticator(issuer, tmp_path, manage_groups=False, allow_all=True), issuer)
    assert "groups" not in model
