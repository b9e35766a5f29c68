"""Fixtures for all tests; what is behind them is in support/."""

pytest_plugins = [
    "support.secrecy",
    "support.report",
    "support.places",
    "support.engine",
    "support.images",
    "support.machine",
    "support.proxy",
    "support.hub",
    "support.site",
    "support.stack",
    "support.browser",
    "support.registry",
    "support.mini_lab",
    "support.gpu_engine",
    "support.gpus",
    "support.identity_service",
    "support.institute",
    "support.oidc_client",
]
