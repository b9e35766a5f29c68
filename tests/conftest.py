"""Fixtures for all tests; what is behind them is in support/."""

import signal

from hypothesis import settings

# How long one example takes says something of the machine, which others use as well, and nothing of the code.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")

# Shells ignore SIGINT for what they start in the background, and so does all that it starts. A hub stops its services
# by it, and would wait 20 s for each that never hears it.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "support.secrecy",
    "support.report",
    "support.places",
    "support.engine",
    "support.images",
    "support.machine",
    "support.edge",
    "support.well",
    "support.proxy",
    "support.hub",
    "support.rooms_page",
    "support.backups_page",
    "support.site",
    "support.stack",
    "support.watched",
    "support.browser",
    "support.registry",
    "support.mini_lab",
    "support.gpu_engine",
    "support.gpus",
    "support.software",
    "support.identity_service",
    "support.institute",
    "support.logins",
    "support.oidc_client",
    "support.rooms_site",
    "support.editing",
    "support.backups",
    "support.backup_site",
    "support.backup_kills",
    "support.members_site",
    "support.restoring",
    "support.sftp",
]
