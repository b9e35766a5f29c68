"""Idle labs are stopped, busy ones are not, and old ones go in any case. Real labs with real kernels."""

from __future__ import annotations

import time

import pytest
from support.wait import until

pytestmark = pytest.mark.docker


def test_idle_lab_is_stopped_and_busy_one_is_not(lab_site):
    site = lab_site(culling={"idle": "20s"})
    for name in ("idle", "busy"):
        site.add_user(name)
        site.api.start(name)
    with site.api.lab("busy").kernel() as kernel:
        computing = kernel.send("import time; time.sleep(60); print('done')")
        until(lambda: site.api.server("idle") is None, 90, "the idle lab to be stopped", every_s=0.5)
        assert kernel.output(computing, 90) == "done\n"
        assert site.api.server("busy") is not None
    until(lambda: site.api.server("busy") is None, 90, "the lab that is idle now to be stopped", every_s=0.5)
    assert site.labs() == []


def test_old_lab_is_stopped_although_it_is_busy(lab_site):
    site = lab_site(culling={"max_age": "30s", "idle": "2h"})
    site.add_user("anna")
    began = time.monotonic()
    site.api.start("anna")
    with site.api.lab("anna").kernel() as kernel:
        kernel.send("import time; time.sleep(300)")
        until(lambda: site.api.server("anna") is None, 90, "the old lab to be stopped", every_s=0.5)
    assert time.monotonic() - began >= 29


def test_a_lab_is_asked_with_its_own_token_and_gets_no_other(mini_site):
    site = mini_site(culling={"idle": "10s"})
    site.add_user("anna")
    site.api.start("anna", profile="nosy")
    lab = site.lab_of("anna")
    until(lambda: lab.logs().count(b"asked with") >= 2, 90, "the lab to be asked twice", every_s=0.5)
    assert b"asked with another token" not in lab.logs()
    assert site.api.server("anna") is not None


def test_a_lab_that_does_not_answer_is_not_taken_for_idle(mini_site):
    site = mini_site(culling={"idle": "10s"})
    for name, profile in (("frozen", "nosy"), ("idle", "mini")):
        site.add_user(name)
        site.api.start(name, profile=profile)
    site.lab_of("frozen").pause()
    until(lambda: site.api.server("idle") is None, 90, "the idle lab to be stopped", every_s=0.5)
    assert site.api.server("frozen") is not None
    site.lab_of("frozen").unpause()
