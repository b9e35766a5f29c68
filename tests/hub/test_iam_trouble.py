"""What goes wrong between the hub and the identity service and is no person's fault: keys that were changed, id tokens
that prove nothing, logins that cannot be renewed, tokens that are refused as soon as they were given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest
from support.hostile_issuer import FORGED, PEOPLE
from support.logins import account, is_due, is_over, log_in

from jupyterhub_mlinfn.discovery import Denied

UNPROVEN = {name: forged for name, forged in FORGED.items()
            if name not in ("another subject", "another login", "no id token")}  # fmt: skip
"""Id tokens that prove nothing at a refresh. None at all, or one without a nonce, is as it may be there."""


@pytest.fixture
def said(ours, caplog) -> Iterable[str]:
    """Call it for what the log has said of the service so far, each line by its first half."""
    ours.log.propagate = True
    lines = lambda: [record.getMessage() for record in caplog.records]  # noqa: E731
    return lambda: [line.partition(". ")[0] for line in lines() if line.startswith("The identity service")]


async def settled(ours) -> None:
    """The look for the service, which any trouble begins, has ended: it answers."""
    if ours.service._task:
        await asyncio.wait_for(ours.service._task, 5)


@pytest.mark.parametrize("kid", ["one", "two"], ids=["under the old name", "under a new name"])
async def test_keys_that_were_changed_put_nobody_out(ours, issuer, kid):
    ours.service.keys_pause_s = 0
    anna = await account(ours, issuer)
    issuer.change_keys(kid)
    is_due(anna)
    assert (await ours.refresh_user(anna))["auth_state"]["expires"] > time.time() + 3500
    assert ours.trouble is None


async def test_keys_that_were_changed_are_asked_for_once_by_all_who_log_in(ours, issuer):
    await log_in(ours, issuer)
    ours.service.keys_pause_s = 0
    before = issuer.asked["keys"]
    issuer.change_keys("one")
    assert all(await asyncio.gather(*(log_in(ours, issuer) for _ in range(6))))
    assert issuer.asked["keys"] == before + 1


async def test_keys_are_not_asked_for_again_at_once_and_nobody_is_judged_meanwhile(ours, issuer, said):
    anna = await account(ours, issuer)
    before = issuer.asked["keys"]
    issuer.change_keys("two")
    for _ in range(5):
        is_due(anna)
        assert await ours.refresh_user(anna) is True
        await settled(ours)
        assert ours.trouble.reason == "id_token"
    with pytest.raises(Denied, match="id_token"):
        await log_in(ours, issuer)
    assert issuer.asked["keys"] == before
    ours.service.keys_pause_s = 0
    is_due(anna)
    assert await ours.refresh_user(anna) is not True
    assert ours.trouble is None
    assert said() == ["The identity service is in trouble: its id tokens prove nothing",
                      "The identity service is well again."]  # fmt: skip


@pytest.mark.parametrize("forged", UNPROVEN.values(), ids=UNPROVEN)
async def test_id_token_that_proves_nothing_is_no_persons_fault_at_a_refresh(ours, issuer, forged):
    anna = await account(ours, issuer)
    issuer.forge = forged
    is_due(anna)
    assert await ours.refresh_user(anna) is True
    assert ours.trouble.reason in ("id_token", "clock")
    assert anna.state["refresh_token"] in issuer.refresh, "the new one is kept, since the old one was used up"
    assert anna.state["expires"] > time.time() + 3500
    issuer.forge = lambda issuer, claims: issuer.signed(claims)
    is_due(anna)
    assert await ours.refresh_user(anna) is not True
    assert ours.trouble is None


async def test_who_left_is_out_also_while_id_tokens_prove_nothing(ours, issuer):
    anna = await account(ours, issuer)
    issuer.forge, issuer.person = FORGED["expired"], {**PEOPLE["anna"], "groups": ["atlas"]}
    is_due(anna)
    assert await ours.refresh_user(anna) is False


async def test_id_token_of_somebody_else_is_the_end_of_the_login(ours, issuer):
    anna = await account(ours, issuer)
    issuer.forge = FORGED["another subject"]
    is_due(anna)
    assert await ours.refresh_user(anna) is False


async def test_login_without_a_refresh_token_goes_on_and_is_said(ours, issuer, said):
    issuer.gives_refresh_tokens = False
    anna = await account(ours, issuer)
    assert said() == ["The identity service is in trouble: it gave no refresh token (scope offline_access, grant "
                      "refresh_token)"]  # fmt: skip
    is_due(anna)
    assert (await ours.refresh_user(anna))["groups"] == ["cms", "cms/ml"]
    is_over(anna)
    issuer.access.clear()
    for _ in range(3):
        assert await ours.refresh_user(anna) is True
    await settled(ours)
    assert ours.trouble.reason == "no_refresh_token"
    assert len(said()) == 1
    issuer.gives_refresh_tokens = True
    anna.state = ours.keep_newest(await log_in(ours, issuer), anna.state)
    assert ours.trouble is None
    assert (await ours.refresh_user(anna))["name"] == "anna"


async def test_who_leaves_is_out_also_without_a_refresh_token_while_the_token_lives(ours, issuer):
    issuer.gives_refresh_tokens = False
    anna = await account(ours, issuer)
    issuer.person["groups"] = ["atlas"]
    assert await ours.refresh_user(anna) is False


async def test_login_of_before_that_cannot_be_renewed_is_said_after_a_restart(ours, issuer, said):
    issuer.gives_refresh_tokens = False
    anna = await account(ours, issuer)
    ours.service.book.works("renewal")
    ours.service.gives_refresh_tokens = None
    is_over(anna)
    issuer.access.clear()
    assert await ours.refresh_user(anna) is True
    assert ours.trouble.reason == "no_refresh_token"


async def test_tokens_that_are_refused_at_once_are_trouble_and_said_once(ours, issuer, said):
    anna = await account(ours, issuer)
    for status in (401, 403, 404):
        issuer.answers["userinfo"] = (status, b'{"error": "insufficient_scope"}')
        for age_s in (0, 3300):
            is_due(anna, age_s)
            assert await ours.refresh_user(anna) is True
            await settled(ours)
            assert ours.trouble.reason == "refused"
    issuer.answers.clear()
    assert await ours.refresh_user(anna) is not True
    assert ours.trouble is None
    assert said() == ["The identity service is in trouble: it refuses the tokens that it has just given",
                      "The identity service is well again."]  # fmt: skip


async def test_tokens_of_one_person_that_are_refused_are_no_trouble_of_the_service(ours, issuer, said):
    anna = await account(ours, issuer)
    issuer.person, issuer.refuses = {**PEOPLE["anna"], "sub": "sub-bob", "preferred_username": "bob"}, {"sub-anna"}
    bob = await account(ours, issuer)
    for _ in range(3):
        assert await ours.refresh_user(bob) is not True
        assert await ours.refresh_user(anna) is True
        assert ours.trouble is None
    assert said() == []
