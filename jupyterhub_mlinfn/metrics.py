"""What /hub/metrics shows of ours: names and help texts. Whoever knows a value sets it."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

IDENTITY_SERVICE_UP = Gauge(
    "mlinfn_identity_service_up", "1 while the identity service answers as it should, 0 while it does not", ["issuer"]
)
REFRESHES = Counter(
    "mlinfn_token_refreshes", "Looks at people with a lab: well, out (not allowed any more), trouble (of the identity "
    "service), error (of ours)", ["result"],
)  # fmt: skip
PEOPLE_OUT = Counter("mlinfn_people_out", "People whose labs were to be stopped because they are not allowed any more")
NEXT_EXPIRY = Gauge(
    "mlinfn_token_next_expiry_timestamp_seconds", "When the access token that ends first of those in labs ends; 0 "
    "without any",
)  # fmt: skip
# There from the beginning, so that an alert on the first failure has something to compare with.
for result in ("well", "out", "trouble", "error"):
    REFRESHES.labels(result)
