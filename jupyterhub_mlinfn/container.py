"""The container of a lab as plain values: what the Engine is asked for, and what its death means. Touches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .gpus import NOTHING as NO_GPU
from .gpus import Lease, giving
from .identity import Person
from .options import Choice
from .references import OURS
from .settings import Limits, bytes_of
from .volumes import Mount

LABELS = "it.infn.mlinfn."
MISSING = "bind source path does not exist: "
"""What the Engine says before the path."""
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Lab:
    """Which lab: of which installation, whose, the name of the server (empty: the default one), and its GPUs."""

    instance: str
    person: Person
    server: str = ""
    gpus: Lease = NO_GPU
    gpus_by: str = "none"
    """How they are given: see `giving.way`."""
    has_root: bool = False
    """Whether its member may become root in it."""
    room: str = ""
    """Name of the room that it is; empty for a member's lab."""


@dataclass(frozen=True)
class ContainerPlan:
    """Keyword arguments of docker's `create_container` and `create_host_config`."""

    create: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    """Sources of mounts without which the lab starts as well."""


def labels(lab: Lab, choice: Choice) -> dict[str, str]:
    """The labels of the contract: the ledger of what runs and whose it is."""
    return {
        f"{LABELS}instance": lab.instance,
        f"{LABELS}user": lab.person.name,
        f"{LABELS}server": lab.server,
        f"{LABELS}profile": choice.profile,
        f"{LABELS}image": choice.image,
        "hub.jupyter.org/username": lab.person.name,
        "hub.jupyter.org/servername": lab.server,
        **({f"{LABELS}room": lab.room} if lab.room else {}),
        **giving.labels(lab.gpus, LABELS),
    }


# Files of running servers and kernels go with the lab, and a home that is full does not keep its member out.
DEFAULTS = {"JUPYTER_RUNTIME_DIR": "/tmp/jupyter-runtime"}


def environment(base: Mapping[str, str], lab: Lab, choice: Choice) -> dict[str, str]:
    """JupyterHub's variables, the profile's own, and what a lab may know about itself.

    A profile cannot replace what JupyterHub sets: those hold the server's own token and address. git takes EMAIL where
    nobody told it an address, instead of refusing to commit.
    """
    profile = {key: str(value) for key, value in choice.overrides.get("environment", {}).items()}
    ours = {"MLINFN_PROFILE": choice.profile, "JUPYTER_IMAGE_SPEC": choice.image}
    ours |= giving.environment(lab.gpus, lab.gpus_by)
    if choice.memory is not None:
        ours["MEM_LIMIT"] = str(choice.memory)
    if choice.cpus is not None:
        ours["CPU_LIMIT"] = str(choice.cpus)
    if "default_url" in choice.overrides:
        ours["JUPYTERHUB_DEFAULT_URL"] = str(choice.overrides["default_url"])
    if lab.person.uid is not None:
        ours |= {"HOME": lab.person.home, "USER": lab.person.safe_name, "NB_USER": lab.person.safe_name}
    return {**DEFAULTS, "EMAIL": f"{lab.person.safe_name}@localhost", **profile, **base, **ours}


def plan(lab: Lab, choice: Choice, mounts: tuple[Mount, ...], base: Mapping[str, Any], limits: Limits) -> ContainerPlan:
    """Everything that the Engine needs to make this lab.

    `base` holds what the site and JupyterHub decide: `environment`, `command`, `port`, `network`, and the site's own
    `create` and `host` additions. Those add to ours and never loosen it: see `host_config`. `image_labels` are the
    image's own.
    """
    create = {
        **base.get("create", {}),
        "image": choice.image,
        "command": base["command"],
        "environment": environment(base["environment"], lab, choice),
        "labels": {**_without(base.get("image_labels", {})), **base.get("create", {}).get("labels", {}),
                   **labels(lab, choice)},
        "ports": [base["port"]],
        "hostname": choice.profile.replace(".", "-"),
    }
    if lab.person.uid is not None:
        create |= {"user": f"{lab.person.uid}:{lab.person.uid}", "working_dir": lab.person.home}
    host = host_config(choice, mounts, base, limits)
    host |= rights(lab.has_root, base.get("host", {}).get("security_opt", ()))
    host |= {"group_add": [*host["group_add"], *(str(group.gid) for group in lab.person.groups)],
             "device_requests": giving.device_requests(lab.gpus, lab.gpus_by)}  # fmt: skip
    return ContainerPlan(create, host, frozenset(mount.source for mount in mounts if mount.optional))


def without_missing(plan: ContainerPlan, answer: str) -> tuple[ContainerPlan, str]:
    """The plan without the optional mount whose source is not there, as the Engine's answer says; and that source.

    The plan as it was, and "", if the answer is about something else.
    """
    missing = next((source for source in plan.optional if answer.rstrip().endswith(f"{MISSING}{source}")), "")
    mounts = [mount for mount in plan.host["mounts"] if not missing or mount["Source"] != missing]
    return replace(plan, host={**plan.host, "mounts": mounts}), missing


def _without(image_labels: Mapping[str, str]) -> dict[str, str]:
    """Empty values for an image's labels of our kind: else the Engine adds them, and the lab holds GPUs of others."""
    return dict.fromkeys((key for key in image_labels if key.startswith(LABELS)), "")


def host_config(choice: Choice, mounts: tuple[Mount, ...], base: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Limits and mounts; those that are ours win over the site's own."""
    config = {
        "shm_size": _in_memory(limits.shm, choice, 2),
        **base.get("host", {}),
        "mounts": [mount.as_docker() for mount in mounts] + list(base.get("host", {}).get("mounts", ())),
        "group_add": [*base.get("host", {}).get("group_add", ()), *image_groups(choice.image)],
        "pids_limit": limits.processes,
        "log_config": {"Type": "json-file", "Config": {"max-size": limits.log_size.lower(), "max-file": "2"}},
        "network_mode": base["network"],
        "auto_remove": False,  # the Engine would remove a lab that dies while starting before anyone read its log
    }
    if limits.tmp:  # Docker's own options would forbid to run what pip and compilers put there
        options = f"rw,exec,nosuid,nodev,mode=1777,size={_in_memory(limits.tmp, choice, 4)}"
        config["tmpfs"] = {**config.get("tmpfs", {}), "/tmp": options}
    if choice.memory is not None:
        config |= {"mem_limit": choice.memory, "memswap_limit": choice.memory}
    if choice.cpus is not None:
        config |= {"cpu_period": 100_000, "cpu_quota": int(choice.cpus * 100_000)}
    return config


def _in_memory(size: str, choice: Choice, part: int) -> int:
    """Bytes that files may take, at most this part of the lab's memory: else who fills them up kills the whole lab."""
    return min(bytes_of(size), *([choice.memory // part] if choice.memory else [bytes_of(size)]))


def image_groups(image: str) -> tuple[str, ...]:
    """Groups that a member needs in an image for what lies outside the home.

    The Jupyter docker-stacks, and what is built on them, keep /opt/conda and the like for the group `users`, 100.
    """
    return () if image.startswith(OURS) else ("100",)


ROOT_NEEDS = ("SETUID", "SETGID", "CHOWN", "DAC_OVERRIDE", "FOWNER")
"""What sudo and apt need, and no more."""


def rights(has_root: bool, site_options: Sequence[str]) -> dict[str, Any]:
    """No capability, and no way to one; where the member may become root, those that `sudo` then has.

    They come last in the plan, so that no site setting or profile widens them by accident.
    """
    none: dict[str, Any] = {"privileged": False, "cap_drop": ["ALL"]}
    if has_root:
        return {**none, "cap_add": list(ROOT_NEEDS), "security_opt": list(site_options)}
    return {**none, "security_opt": [*site_options, "no-new-privileges"]}


FORBIDDEN = ("device_requests", "devices", "device_cgroup_rules", "runtime", "privileged", "cap_add", "pid_mode",
             "ipc_mode", "userns_mode", "uts_mode", "cgroup_parent", "volumes_from")  # fmt: skip
"""What a site may not put into `extra_host_config`: it would go around the rules that the plan keeps."""


def refused_keys(host: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys of a site's own host configuration that no lab may have."""
    unconfined = any("unconfined" in option for option in host.get("security_opt") or ())
    return (*(key for key in FORBIDDEN if host.get(key)), *(["security_opt: unconfined"] if unconfined else []))


def with_person(passwd: str, group: str, person: Person, shell: str = "/bin/bash") -> tuple[str, str]:
    """/etc/passwd and /etc/group of an image, with the person in them under their own numbers.

    An image's own entry of the same name or number gives way: `whoami` and `ls -l` must name the member. A group whose
    name the image or the person has already is called NAME--group: rights of the image's groups are not theirs.
    """
    name, uid, gids = person.safe_name, str(person.uid), {str(each.gid) for each in person.groups}
    people = [line for line in passwd.splitlines() if line and not _is_one_of(line, name, {uid})]
    groups = [line for line in group.splitlines() if line and not _is_one_of(line, name, {uid, *gids})]
    # No "x": PAM would look for them in /etc/shadow, and sudo would refuse somebody who is not there.
    people.append(f"{name}:*:{uid}:{uid}:{_called(person)}:{person.home}:{shell}")
    groups.append(f"{name}:x:{uid}:")
    taken = {line.split(":")[0] for line in groups}
    for each in person.groups:
        called = f"{each.safe_name}--group" if each.safe_name in taken else each.safe_name
        groups.append(f"{called}:x:{each.gid}:{name}")
    return "\n".join(people) + "\n", "\n".join(groups) + "\n"


def _is_one_of(line: str, name: str, numbers: set[str]) -> bool:
    fields = line.split(":")
    return fields[0] == name or (fields[2:3] != [] and fields[2] in numbers)


def _called(person: Person) -> str:
    """The person's name where passwd has people's; git takes it from there where it is told nothing else."""
    return "".join(character for character in person.name if character.isprintable() and character not in ":,&")


HINTS = (
    ("executable file not found", "The image has no `jupyterhub-singleuser`: it was not made for JupyterHub. "
     "Install `jupyterhub` and `jupyterlab` in it."),
    ("exec format error", "The image was built for another processor architecture than this machine's."),
    ("no space left on device", "The machine's disk is full. Tell the keeper."),
    ("No space left on device", "A disk is full: that of the homes, or the machine's. Tell the keeper."),
    ("Read-only file system", "The disk of the homes can only be read at present. Tell the keeper."),
    ("No module named", "A Python package is missing in the image."),
    ("Permission denied", "The image expects to run as another user; files that it needs cannot be read or written."),
)


def explain_exit(state: Mapping[str, Any], log: str, memory: int | None) -> str:
    """Why a container ended while starting: exit code, a hint for the usual causes, a blank line, its last log lines.

    `state` is the `State` of an inspected container, or {"Error": text} for one that the Engine could not start.
    """
    error = state.get("Error") or ""
    head = f"It ended with exit code {state['ExitCode']}." if state.get("ExitCode") is not None else "It did not start."
    said = " ".join(part for part in (head, error, _hint(state, f"{error}\n{log}", memory)) if part)
    return f"{said}\n\n{log.strip()}" if log.strip() else said


def _hint(state: Mapping[str, Any], text: str, memory: int | None) -> str:
    if state.get("OOMKilled") or (state.get("ExitCode") == 137 and not text.strip()):
        size = f" {memory / bytes_of('1G'):g}G" if memory else ""
        return f"It needed more than the{size} of memory that it was given. Choose a larger size."
    if state.get("ExitCode") == 0:
        return "The image's own command ended at once instead of serving: it does not run `jupyterhub-singleuser`."
    return next((hint for sign, hint in HINTS if sign in text), "")
