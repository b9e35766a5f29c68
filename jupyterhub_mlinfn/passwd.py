"""Puts a person's name and uid into a container that is created and not yet started."""

from __future__ import annotations

import io
import tarfile

from docker import APIClient
from docker.errors import NotFound

from .container import with_person
from .identity import Person


def add_person(client: APIClient, container_id: str, person: Person) -> None:
    """Inside, `whoami`, `id` and `ls -l` name the member, whatever the image knows."""
    passwd, group = with_person(_read(client, container_id, "passwd"), _read(client, container_id, "group"), person)
    client.put_archive(container_id, "/etc", _archive({"passwd": passwd, "group": group}))


def _read(client: APIClient, container_id: str, name: str) -> str:
    try:
        chunks, _ = client.get_archive(container_id, f"/etc/{name}")
    except NotFound:
        return ""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        entry = archive.extractfile(archive.getmembers()[0])
        return entry.read().decode(errors="surrogateescape") if entry else ""


def _archive(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            content = text.encode(errors="surrogateescape")
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
