"""Asking the guard before a start."""

from __future__ import annotations

import asyncio

import pytest
from support.guard import Guard
from support.places import free_ports

from jupyterhub_mlinfn.ready import guard_is_well


@pytest.fixture
def port() -> int:
    """Where the guard answers, or will."""
    return free_ports()


async def test_guard_that_is_being_recreated_is_waited_for(port):
    asking = asyncio.ensure_future(guard_is_well(f"http://127.0.0.1:{port}/health"))
    await asyncio.sleep(0.2)
    assert not asking.done()
    guard = Guard(port)
    try:
        assert await asking
    finally:
        guard.stop()


async def test_no_of_the_guard_counts_at_once(port):
    guard = Guard(port)
    guard.is_well = False
    try:
        assert not await asyncio.wait_for(guard_is_well(f"http://127.0.0.1:{port}/health", patience_s=60), 10)
    finally:
        guard.stop()


async def test_silence_is_a_no_in_the_end(port):
    assert not await asyncio.wait_for(guard_is_well(f"http://127.0.0.1:{port}/health", patience_s=0.2), 10)
