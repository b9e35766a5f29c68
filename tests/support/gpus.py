"""GPUs that do not exist: what a driver knows of them, and the specifications that NVIDIA's tools write for them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from jupyterhub_mlinfn.gpus import Device, Found

GPU_IS_LOST = 15
"""NVML's code for a card that fell off the bus."""
GIB = 2**30
A100 = "NVIDIA A100-SXM4-80GB"
HERE = Path(__file__).parent / "nvml"


@dataclass(frozen=True)
class Slice:
    """A MIG slice: its number among those of its card, and the ids of its instances."""

    number: int
    uuid: str
    instance: int
    profile: str = "1g.10gb"
    memory: int = 10 * GIB
    code: int = 0


@dataclass(frozen=True)
class Card:
    """A card; in MIG mode if it has slices, be it none of them. `code` is what asking for it returns."""

    uuid: str
    minor: int
    slices: tuple[Slice, ...] | None = None
    model: str = A100
    memory: int = 80 * GIB
    code: int = 0

    @property
    def node(self) -> str:
        """Its device node."""
        return f"/dev/nvidia{self.minor}"

    def rights(self, part: Slice) -> tuple[tuple[str, str], ...]:
        """What a slice needs beside the card's node: names of rights, and the device nodes that give them."""
        first, name = 100 * self.minor + 10 * part.instance, f"gpu{self.minor}/gi{part.instance}"
        return ((f"{name}/access", f"/dev/nvidia-caps/nvidia-cap{first}"),
                (f"{name}/ci0/access", f"/dev/nvidia-caps/nvidia-cap{first + 1}"))  # fmt: skip


WHOLE = Card("GPU-aaaa0000-0000-4000-8000-000000000000", 1)
CUT = Card("GPU-bbbb0000-0000-4000-8000-000000000000", 0, (
    Slice(0, "MIG-b0000000-0000-5000-8000-000000000000", 1),
    Slice(2, "MIG-b2000000-0000-5000-8000-000000000000", 3),
))  # fmt: skip
LOST = Card("GPU-cccc0000-0000-4000-8000-000000000000", 2, code=GPU_IS_LOST)
CARDS = (WHOLE, CUT, LOST)
"""Two that work, one of them in MIG mode with a gap in its numbers, and one that fails. Minors follow no order."""


def facts(cards: Sequence[Card], init: int = 0, shutdown: int = 0) -> str:
    """What the stand-in library reads."""
    lines = [f"init {init}", f"shutdown {shutdown}"]
    for card in cards:
        mig = -1 if card.slices is None else 1
        lines.append(f"card {card.code} {card.minor} {mig} {card.memory} {card.uuid} {card.model}")
        lines += [f"slice {part.code} {part.number} {part.instance} 0 {part.memory} {part.uuid} "
                  f"{card.model} MIG {part.profile}" for part in card.slices or ()]  # fmt: skip
    return "\n".join(lines) + "\n"


def minors(cards: Sequence[Card]) -> str:
    """The driver's list of rights to slices, /proc/driver/nvidia-caps/mig-minors."""
    rights = [right for card in cards for part in card.slices or () for right in card.rights(part)]
    listed = [f"{name} {node.rpartition('cap')[2]}" for name, node in rights]
    return "\n".join(["config 1", "monitor 2", *listed]) + "\n"


def specification(cards: Sequence[Card], by: Sequence[str] = ("index",), is_hollow: bool = False) -> dict:
    """A CDI specification as `nvidia-ctk cdi generate` writes it, with devices named by index, type-index or uuid.

    A hollow one can be used: its nodes are /dev/null, and nothing else of NVIDIA's is needed.
    """
    working = [(index, card) for index, card in enumerate(cards) if not card.code]
    parts = [part for index, card in working for part in _parts(index, card)]
    devices = [{"name": names[way], "containerEdits": {"deviceNodes": [_node(each, is_hollow) for each in nodes]}}
               for names, nodes in parts for way in by]  # fmt: skip
    every = dict.fromkeys(node for _, nodes in parts for node in nodes)
    devices.append({"name": "all", "containerEdits": {"deviceNodes": [_node(each, is_hollow) for each in every]}})
    edits = {"deviceNodes": [_node("/dev/nvidiactl", is_hollow)], "env": ["NVIDIA_VISIBLE_DEVICES=void"]}
    return {"cdiVersion": "0.5.0", "containerEdits": edits if is_hollow else edits | _software(), "devices": devices,
            "kind": "nvidia.com/gpu"}  # fmt: skip


def _parts(index: int, card: Card) -> Iterator[tuple[dict[str, str], list[str]]]:
    """What can be given of a card: its names, and its device nodes."""
    if card.slices is None:
        yield {"index": f"{index}", "type-index": f"gpu{index}", "uuid": card.uuid}, [card.node]
    for part in card.slices or ():
        number = f"{index}:{part.number}"
        nodes = [card.node, *(node for _, node in card.rights(part))]
        yield {"index": number, "type-index": f"mig{number}", "uuid": part.uuid}, nodes


def _node(path: str, is_hollow: bool) -> dict[str, str]:
    return {"path": path, "hostPath": "/dev/null"} if is_hollow else {"path": path}


def _software() -> dict:
    library = "/usr/lib/x86_64-linux-gnu/libcuda.so.570.133.20"
    hook = {"args": ["nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib/x86_64-linux-gnu"],
            "hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook"}  # fmt: skip
    mount = {"containerPath": library, "hostPath": library, "options": ["ro", "nosuid", "nodev", "rbind", "rprivate"]}
    return {"hooks": [hook], "mounts": [mount]}


def as_yaml(content: dict) -> str:
    """The text of a specification."""
    text = io.StringIO()
    YAML(typ="safe").dump(content, text)
    return text.getvalue()


@dataclass
class Driver:
    """A machine's driver: `environment` lets a program see it, `specifications` is its folder for the Engine."""

    folder: Path
    library: Path
    environment: dict[str, str] = field(init=False)
    specifications: Path = field(init=False)
    _program: subprocess.Popen | None = field(init=False, default=None)

    def __post_init__(self):
        self.specifications = self.folder / "cdi"
        self.specifications.mkdir(parents=True)
        self.environment = {"LD_LIBRARY_PATH": str(self.library), "MLINFN_TEST_NVML": str(self.folder / "facts")}
        self.has()

    def has(self, *cards: Card, init: int = 0, shutdown: int = 0) -> None:
        """From now on the machine has these cards."""
        (self.folder / "facts").write_text(facts(cards, init, shutdown))
        (self.folder / "minors").write_text(minors(cards))

    def specify(self, content: dict | None, name: str = "nvidia.yaml") -> None:
        """From now on the Engine has this specification, or none of that name."""
        place = self.specifications / name
        place.unlink(missing_ok=True)
        if content is not None:
            place.write_text(as_yaml(content) if name.endswith("yaml") else json.dumps(content))

    def found(self, **gpus) -> Found:
        """What a program finds that has these settings, in the section `gpus`."""
        answer = self.ask("find", **gpus)
        return Found(_devices(answer), answer["source"], tuple(answer["notes"]))

    def ask(self, do: str, **gpus) -> dict:
        """The answer of the program beside us; see nvml/answer.py."""
        if not self._program:
            command, pipe = [sys.executable, str(HERE / "answer.py")], subprocess.PIPE
            self._program = subprocess.Popen(command, env=self.environment, stdin=pipe, stdout=pipe, text=True)
        asked = {"do": do, "gpus": gpus, "folders": [str(self.specifications)], "minors": str(self.folder / "minors")}
        self._program.stdin.write(json.dumps(asked) + "\n")
        self._program.stdin.flush()
        return json.loads(self._program.stdout.readline())

    def close(self) -> None:
        """Nothing is left behind."""
        if self._program:
            self._program.kill()  # it has nothing to lose, and would take half a second to end
            self._program.communicate()


def _devices(answer: dict) -> tuple[Device, ...]:
    return tuple(Device(**{**each, "nodes": tuple(each["nodes"])}) for each in answer["devices"])


def lent(cards: Sequence[Card]) -> tuple[Device, ...]:
    """The devices that there are with these cards, without what the Engine calls them."""
    there = [(index, card) for index, card in enumerate(cards) if not card.code]
    parts = [(index, card, part) for index, card in there for part in ((None,) if card.slices is None else card.slices)]
    return tuple(_device(*each) for each in parts)


def _device(index: int, card: Card, part: Slice | None) -> Device:
    if part is None:
        return Device(card.uuid, card.model, card.memory, index, nodes=(card.node,))
    nodes = (card.node, *(node for _, node in card.rights(part)))
    return Device(part.uuid, card.model, part.memory, index, part.profile, card.uuid, nodes=nodes,
                  number=part.number, instance=part.instance)  # fmt: skip


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stand-in for libnvidia-ml.so.1; ./test.sh installs a compiler."""
    folder = tmp_path_factory.mktemp("nvml")
    command = ["cc", "-shared", "-fPIC", "-nostdlib", "-o", str(folder / "libnvidia-ml.so.1"), str(HERE / "library.c")]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def driver(nvml_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A driver for programs that are started with its environment. It has no card until it is told."""
    driver = Driver(tmp_path_factory.mktemp("driver"), nvml_library)
    yield driver
    driver.close()
