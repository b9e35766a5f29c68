"""Puts a person's name and uid into a container that is created and not yet started."""

from __future__ import annotations

import io
import tarfile

from docker import APIClient
from docker.errors import NotFound

from .container import with_person
from .identity import Person

# A lab has no right to write to the host's audit log, and sudo would complain about that with every command.
SUDOERS = """Defaults:{name} !log_allowed, !log_denied
{name} ALL=(ALL:ALL) NOPASSWD: ALL
"""


def add_person(client: APIClient, container_id: str, person: Person, has_root: bool = False) -> None:
    """Inside, `whoami`, `id` and `ls -l` name the member, whatever the image knows, and sudo obeys who `has_root`."""
    passwd, group = with_person(_read(client, container_id, "passwd"), _read(client, container_id, "group"), person)
    entries = [_file("passwd", passwd), _file("group", group)]
    if has_root:
        name = person.safe_name
        entries += [_folder("sudoers.d", 0o750), _file("sudoers.d/mlinfn", SUDOERS.format(name=name), 0o440)]
    client.put_archive(container_id, "/etc", _archive(entries))


def _read(client: APIClient, container_id: str, name: str) -> str:
    try:
        chunks, _ = client.get_archive(container_id, f"/etc/{name}")
    except NotFound:
        return ""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        entry = archive.extractfile(archive.getmembers()[0])
        return entry.read().decode(errors="surrogateescape") if entry else ""


Entry = tuple[tarfile.TarInfo, bytes]


def _file(name: str, text: str, mode: int = 0o644) -> Entry:
    entry, content = tarfile.TarInfo(name), text.encode(errors="surrogateescape")
    entry.size, entry.mode = len(content), mode
    return entry, content


def _folder(name: str, mode: int) -> Entry:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry, b""


def _archive(entries: list[Entry]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
