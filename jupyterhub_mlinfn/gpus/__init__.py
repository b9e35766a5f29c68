"""Lending GPUs: what is there, who holds what, who is next, and who may have how many.

Read in this order: devices (what a GPU is), inventory (which are there; nvml, cdi and reported are its sources, and
report is the service behind the last), request (what is asked for and given), ledger (who holds what, from Docker's
containers), line (who is next), policy (limits), quotas (what they leave, in the order of the line), tickets (the
line's memory), pool (the one way to get one), giving (how it reaches the container), state and offer (what people are
told and may pick), lending (all of it together, for this process), glance (how it stands now, for who asks), mapping
(what dcgm-exporter is told).
What needs Docker's library is not imported here: that would take half of the time that `mlinfn status` has.
"""

from .devices import Device, GPUClass, check, classes_of, slug_of, unknown
from .inventory import EVERY_S, Found, Inventory, find
from .ledger import SERVICE, Holder, is_lab
from .offer import Shown, picks
from .policy import Limits, limits_of, most
from .pool import Claimant, EngineAway, Pool, View, Wait
from .request import NOTHING, Lease, Request, parse
from .tickets import Tickets

__all__ = [
    "EVERY_S", "NOTHING", "SERVICE", "Claimant", "Device", "EngineAway", "Found", "GPUClass", "Holder", "Inventory",
    "Lease", "Limits", "Pool", "Request", "Shown", "Tickets", "View", "Wait", "check", "classes_of", "find",
    "is_lab", "limits_of", "most", "parse", "picks", "slug_of", "unknown",
]  # fmt: skip
