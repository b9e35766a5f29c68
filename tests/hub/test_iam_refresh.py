"""Proofs at login and answers at refresh, with a provider that lies, babbles or is silent."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.hostile_issuer import FORGED, PEOPLE, SECRET
from support.logins import Account, account, authenticator, is_due, is_over, log_in

from jupyterhub_mlinfn.discovery import Denied, Outage
from jupyterhub_mlinfn.errors import UserError
from jupyterhub_mlinfn.iam import state as states

WORDS = b"words-of-the-issuer"
TROUBLE = {
    "a web page": ((200, b"<html>" + WORDS), "not_json"), "a list": ((200, b"[]"), "not_json"),
    "nothing": ((200, b""), "not_json"), "deep nesting": ((200, b"[" * 100_000), "not_json"),
    "an error": ((500, WORDS), "server_error"), "an error of a proxy": ((502, b"<html>"), "server_error"),
    "too often": ((429, b"{}"), "rate_limited"), "a redirect": ((302, b""), "not_json"),
    "2 MB": ((200, b'{"a": "' + b"a" * 2_000_000 + b'"}'), "unreachable"), "silence": (None, "unreachable"),
    "invalid_grant with status 500": ((500, b'{"error": "invalid_grant"}'), "server_error"),
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_id_token_that_proves_nothing_lets_nobody_in(ours, issuer, forged):
    issuer.forge = forged
    with pytest.raises((Denied, Outage)):
        await log_in(ours, issuer)


async def test_claims_of_somebody_else_let_nobody_in(ours, issuer):
    issuer.forge = lambda issuer, claims: issuer.signed({**claims, "sub": "sub-bob"})
    with pytest.raises(Denied, match="mismatch"):
        await log_in(ours, issuer)


async def test_who_is_refused_does_not_keep_the_name(ours, issuer):
    issuer.person = {**PEOPLE["anna"], "sub": "sub-outsider", "groups": []}
    assert await log_in(ours, issuer) is None
    issuer.person = dict(PEOPLE["anna"])
    assert await log_in(ours, issuer)
    issuer.person = {**PEOPLE["anna"], "sub": "sub-other", "preferred_username": "ANNA"}
    with pytest.raises(UserError, match="belongs to another person"):
        await log_in(ours, issuer)


async def test_keys_are_asked_for_once_and_not_for_every_unknown_one(ours, issuer):
    before = issuer.asked["keys"]
    for forged in ("expired", "an unknown key", "an unknown key", "another key"):
        issuer.forge = FORGED[forged]
        with pytest.raises((Denied, Outage)):
            await log_in(ours, issuer)
    assert issuer.asked["keys"] == before + 1


@pytest.mark.parametrize("metadata", [
    {"issuer": "https://iam.example.org"}, {"token_endpoint": "http://iam.example.org/token"}, {"jwks_uri": 7},
    {"userinfo_endpoint": "file:///etc/passwd"}, {"authorization_endpoint": "https://x@localhost/\\"},
], ids=["another issuer", "no TLS", "a number", "a file", "a user in it"])  # fmt: skip
async def test_metadata_that_cannot_be_trusted_are_not(ours, issuer, metadata):
    issuer.metadata = metadata
    with pytest.raises(Outage, match="publishes"):
        await ours.find_service()
    assert ours.trouble.reason == "metadata"


async def test_refresh_renews_ahead_of_the_end_and_keeps_the_new_refresh_token(ours, issuer):
    anna = await account(ours, issuer)
    first = anna.state
    assert (await ours.refresh_user(anna))["auth_state"]["access_token"] == first["access_token"], "not due yet"
    is_due(anna)
    model = await ours.refresh_user(anna)
    assert model["name"] == "anna"
    assert model["groups"] == ["cms", "cms/ml"]
    assert model["user_info"]["initials"] == "AR"
    assert anna.state["access_token"] == model["auth_state"]["access_token"] != first["access_token"]
    assert anna.state["refresh_token"] != first["refresh_token"]
    assert anna.state["id_token"] is None
    assert anna.state["expires"] > time.time() + 3500


async def test_many_refreshes_at_once_use_a_rotating_token_once(ours, issuer):
    anna = await account(ours, issuer)
    before = issuer.asked["token"]
    is_due(anna)
    answers = await asyncio.gather(*(ours.refresh_user(anna) for _ in range(8)))
    assert all(answers)
    assert issuer.asked["token"] == before + 1


async def test_refresh_that_nobody_waits_for_is_finished(ours, issuer):
    anna = await account(ours, issuer)
    first = anna.state["access_token"]
    is_due(anna)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(ours.refresh_user(anna), 0.001)
    assert (await ours.refresh_user(anna))["auth_state"]["access_token"] != first


async def test_handler_that_was_overtaken_does_not_bring_back_an_old_token(ours, issuer):
    anna = await account(ours, issuer)
    old = await ours.refresh_user(anna)
    is_due(anna)
    new = await ours.refresh_user(anna)
    assert ours.reconcile_auth_state_hook(ours, old, anna.state) == new["auth_state"]
    await anna.save_auth_state(old["auth_state"])  # in between its look and its write
    is_over(anna)
    assert await ours.refresh_user(anna)


async def test_token_that_was_withdrawn_is_replaced(ours, issuer):
    anna = await account(ours, issuer)
    issuer.access.clear()
    model = await ours.refresh_user(anna)
    assert model["auth_state"]["access_token"] in issuer.access


@pytest.mark.parametrize(("answer", "reason"), TROUBLE.values(), ids=TROUBLE)
@pytest.mark.parametrize("part", ["token", "userinfo"])
async def test_trouble_says_nothing_about_anybody(ours, issuer, part, answer, reason):
    anna = await account(ours, issuer)
    issuer.answers[part] = answer
    is_over(anna)
    assert await ours.refresh_user(anna) is True
    assert ours.trouble.reason == reason
    with pytest.raises(Outage, match=r"^it "):
        await log_in(ours, issuer)
    issuer.answers.clear()
    assert await ours.refresh_user(anna)
    assert ours.trouble is None


async def test_wrong_client_is_the_sites_trouble_and_heals(issuer, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    ours = authenticator(issuer, tmp_path, allowed_groups={"cms"}, client_secret_file=str(secret))
    anna = await account(ours, issuer)
    issuer.secret = "rotated"
    is_due(anna)
    assert await ours.refresh_user(anna) is True
    assert ours.trouble.reason == "invalid_client"
    secret.unlink()
    assert await ours.refresh_user(anna) is True
    secret.write_text("rotated")
    assert (await ours.refresh_user(anna))["auth_state"]["expires"] > time.time() + 3500
    assert ours.trouble is None


async def test_who_left_the_group_is_out_also_while_tokens_cannot_be_renewed(ours, issuer):
    anna = await account(ours, issuer)
    issuer.secret = "rotated"
    is_due(anna)
    issuer.person["groups"] = ["atlas"]
    assert await ours.refresh_user(anna) is False


OUT = {
    "no group": {"groups": []}, "no groups": {"groups": None}, "other groups": {"groups": ["atlas", "../cms"]},
    "another person": {"sub": "sub-bob"},
}  # fmt: skip


@pytest.mark.parametrize("change", OUT.values(), ids=OUT)
async def test_who_is_no_member_any_more_is_out(ours, issuer, change):
    anna = await account(ours, issuer)
    issuer.person |= change
    assert await ours.refresh_user(anna) is False


async def test_account_that_was_disabled_is_out_and_asked_for_no_more(ours, issuer):
    anna = await account(ours, issuer)
    issuer.is_gone = True
    is_due(anna)
    assert await ours.refresh_user(anna) is False
    before = issuer.asked.total()
    assert await ours.refresh_user(anna) is False
    assert issuer.asked.total() == before
    issuer.is_gone = False
    anna.state = ours.keep_newest(await log_in(ours, issuer), anna.state)
    assert await ours.refresh_user(anna), "a new login helps"


@pytest.mark.parametrize("change", [{"preferred_username": "anna2"}, {"preferred_username": None}, {"sub": None}],
                         ids=["renamed", "no name", "no subject"])  # fmt: skip
async def test_who_is_called_differently_there_stays_until_the_next_login(ours, issuer, change):
    anna = await account(ours, issuer)
    issuer.person |= change
    answer = await ours.refresh_user(anna)
    assert answer is True or answer["name"] == "anna"


async def test_admin_right_comes_and_goes(issuer, tmp_path):
    ours = authenticator(issuer, tmp_path, allowed_groups={"cms"}, admin_groups={"cms/ml"})
    anna = await account(ours, issuer)
    assert (await ours.refresh_user(anna))["admin"] is True
    issuer.person["groups"] = ["cms"]
    assert (await ours.refresh_user(anna))["admin"] is False


async def test_accounts_of_nobody_are_left_alone(issuer, tmp_path):
    ours = authenticator(issuer, tmp_path, without_identity={"room-cms"})
    assert await ours.refresh_user(Account({"name": "room-cms", "auth_state": None})) is True
    assert await ours.refresh_user(Account({"name": "anna", "auth_state": None})) is False
    assert [ours.validate_username(name) for name in ("room-cms", "room-ml", "anna")] == [True, False, True]


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [(3600, 3600), ("3600", 3600), (12.5, 12.5), (None, 600), ("soon", 600), (-1, 600), (float("nan"), 600), ([], 600),
     (10**400, 600), (10**12, states.LONGEST_LIFE_S)], ids=str,
)  # fmt: skip
def test_life_of_a_token(expires_in, life):
    assert states.life_s(expires_in) == life


@pytest.mark.parametrize(("life", "left"), [(3600, 600), (1200, 600), (12, 6), (1, 0.5)])
def test_token_is_renewed_while_it_is_good_for_long_enough(life, left):
    due = states.renew_at({"refresh_token": "x", "obtained": 1000, "expires": 1000 + life})
    assert 1000 < due < 1000 + life - left


async def test_log_says_trouble_once_and_nothing_of_the_answers(ours, issuer, caplog):
    ours.log.propagate = True
    anna = await account(ours, issuer)
    is_over(anna)
    issuer.answers = dict.fromkeys(("token", "userinfo", "discovery"), (500, WORDS))
    for _ in range(5):
        assert await ours.refresh_user(anna) is True
    issuer.answers = {}
    assert await ours.refresh_user(anna)
    await asyncio.wait_for(ours.service._task, 5)
    said = [record.getMessage() for record in caplog.records if "identity service" in record.getMessage()]
    assert [line.split(":")[0] for line in said] == ["The identity service is in trouble",
                                                     "The identity service is well again."]  # fmt: skip
    assert [secret for secret in (*issuer.issued, SECRET, WORDS.decode(), "Rossi") if secret in caplog.text] == []
