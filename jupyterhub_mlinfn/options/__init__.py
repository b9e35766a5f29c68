"""What a person may pick, and what they picked.

    mlinfn.yaml  --profile_list_of-->  KubeSpawner's profile_list  --parse_profiles-->  Profiles
    Profiles + GPUs to pick  --with_gpus-->  Profiles
    Profiles + the person's groups  --offer-->  Offer
    browser fields  --from_form-->  plain keys (the API's and stored ones are plain already)
    plain keys + Offer  --parse-->  Choice, or a UserError that names what is offered

Everything here is pure; nothing after `parse` looks at the plain keys again.
"""

from .choice import Choice, from_form, parse
from .offers import Offer, offer, with_gpus
from .profiles import FreeText, Option, Pick, Profile, ignored_keys, parse_profiles
from .references import is_image_reference
from .site import host_profiles, profile_list_of, room_profile

__all__ = [
    "Choice",
    "FreeText",
    "Offer",
    "Option",
    "Pick",
    "Profile",
    "from_form",
    "host_profiles",
    "ignored_keys",
    "is_image_reference",
    "offer",
    "parse",
    "parse_profiles",
    "profile_list_of",
    "room_profile",
    "with_gpus",
]
