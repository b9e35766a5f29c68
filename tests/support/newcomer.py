"""Somebody who types what a page says and nothing else: commands on a machine, keys in its settings, cells in a lab."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from support.client import Kernel
from support.machine import Machine, Result
from support.machine_image import tar_of
from support.pages import Block, blocks, page, section

MAY_BE_UNWELL = re.compile(r"mlinfn (status|doctor|alerts)\b")
"""Their exit status is about the machine, not about the command."""
TERMINAL = """
import os, subprocess
print(subprocess.run(["bash", "-ec", {text!r}], cwd=os.path.expanduser("~"), text=True, check=True,
                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout)
"""


class Newcomer:
    """With root on a machine. The port of the pages is another one here, as the way to the machine leads over ours."""

    def __init__(self, machine: Machine, port: int, settings: str):
        self.machine, self.port, self.settings = machine, port, settings
        self.folder = "/root"
        self.typed: list[str] = []

    def read(self, name: str, title: str) -> list[Block]:
        """What there is to do under a heading of a page."""
        text = section(page(name), title).replace("8000", str(self.port))
        return blocks(text, "sh", "yaml", "python")

    def follow(self, name: str, *titles: str, answers: Mapping[str, str] = MappingProxyType({})) -> dict[str, Result]:
        """What each line of a page's sections ended with on the machine; `answers` are what some of them ask for."""
        printed = {}
        for block in (block for title in titles for block in self.read(name, title)):
            if block.language == "yaml":
                self.write(block.text)
            elif block.language == "sh":
                printed |= {line: self.type(line, answers.get(line, "")) for line in block.text.splitlines()}
        return printed

    def type(self, line: str, answer: str) -> Result:
        """What a line ended with. Raises AssertionError if it did not end well."""
        self.typed.append(line)
        if line.startswith("cd "):
            self.folder = line.removeprefix("cd ")
        done = self.machine.try_run(f"cd {self.folder} && {line}", 1200, typed=answer)
        assert done.status == 0 or (done.status == 1 and MAY_BE_UNWELL.match(line)), f"{line}\n{done.output[-6000:]}"
        return done

    def write(self, lines: str) -> None:
        """Write these keys into the settings, in place of what they were."""
        text = self.machine.run(f"cat {self.settings}")
        for line in lines.splitlines():
            key = line.partition(":")[0]
            text, there = re.subn(rf"^{key}:.*$", lambda _, line=line: line, text, flags=re.MULTILINE)
            text += "" if there else f"{line}\n"
        self.machine.put(tar_of({self.settings.lstrip("/"): text}))

    def work(self, name: str, *titles: str, kernel: Kernel, terminal: bool = False) -> str:
        """What the cells of sections printed in a lab; with `terminal`, the commands as well, at home."""
        todo = [block for title in titles for block in self.read(name, title)]
        return "".join(
            kernel.run(block.text if block.language == "python" else TERMINAL.format(text=block.text))
            for block in todo if block.language == "python" or (terminal and block.language == "sh")
        )  # fmt: skip
