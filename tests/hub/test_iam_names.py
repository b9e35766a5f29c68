"""A user name stays with the person who had it first, at logins and at refreshes, until the keeper hands it over."""

from __future__ import annotations

from support.hostile_issuer import PEOPLE
from support.logins import account, log_in

from jupyterhub_mlinfn.identity import Subjects


async def test_name_that_was_handed_over_is_not_taken_back_by_a_refresh(ours, issuer):
    anna, book = await account(ours, issuer), Subjects(ours.identity_book)
    assert book.forget("anna")
    assert await ours.refresh_user(anna) is False
    issuer.person = {**PEOPLE["anna"], "sub": "sub-of-another-anna"}
    assert (await log_in(ours, issuer))["name"] == "anna"


async def test_account_of_before_is_out_once_the_name_is_somebody_elses(ours, issuer):
    anna, book = await account(ours, issuer), Subjects(ours.identity_book)
    book.forget("anna")
    issuer.person = {**PEOPLE["anna"], "sub": "sub-of-another-anna"}
    await log_in(ours, issuer)
    issuer.person, issuer.access[anna.state["access_token"]] = dict(PEOPLE["anna"]), {}
    ours._latest.clear()
    assert await ours.refresh_user(anna) is False


async def test_book_of_names_that_was_lost_puts_nobody_out(ours, issuer, tmp_path):
    anna = await account(ours, issuer)
    (tmp_path / "identity.sqlite").unlink()
    assert (await ours.refresh_user(anna))["name"] == "anna"
