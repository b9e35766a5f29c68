"""The parts by which members get files back: whose rights count, which paths lead where, what of a tar passes."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import tarfile
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyterhub_mlinfn.backup.members import archive, areas, asker, door, trees, upload
from jupyterhub_mlinfn.backup.members.archive import Cut, Pipe
from jupyterhub_mlinfn.backup.members.rights import NOBODY, READ, Reader, Rights, Walk, acl_of_attribute, acl_of_text
from jupyterhub_mlinfn.backup.members.stopping import Stop
from jupyterhub_mlinfn.backup.trouble import Trouble
from jupyterhub_mlinfn.errors import OperatorError, UserError
from jupyterhub_mlinfn.identity import Group, Identities, Person, known
from jupyterhub_mlinfn.rooms import Room

ZOE, BORIS, CMS, OTHER = 71001, 71002, 91001, 91002
ME = Reader(ZOE, frozenset({ZOE, CMS}))
ACL = "user::rw-\nuser:71001:{}\ngroup::{}\ngroup:91001:{}\nmask::{}\nother::{}\n"


@pytest.mark.parametrize(("rights", "mine"), [
    (Rights(ZOE, OTHER, 0o400), True), (Rights(ZOE, CMS, 0o077), False), (Rights(BORIS, CMS, 0o640), True),
    (Rights(BORIS, CMS, 0o604), False), (Rights(BORIS, OTHER, 0o640), False), (Rights(BORIS, OTHER, 0o604), True),
    (Rights(0, 0, 0), False), (Rights(BORIS, ZOE, 0o040), True),
], ids=["my own", "my own, closed to me", "my group's", "closed to my group", "another group's", "everybody's",
        "nobody's", "my own group's"])  # fmt: skip
def test_mode_bits_say_who_reads(rights, mine):
    assert rights.allow(ME, READ) == mine


@pytest.mark.parametrize(("entries", "mine"), [
    (("r--", "---", "---", "rwx", "---"), True), (("r--", "rwx", "rwx", "---", "rwx"), False),
    (("---", "rwx", "rwx", "rwx", "rwx"), False), (("rw-", "---", "---", "-wx", "---"), False),
], ids=["named", "masked", "named with nothing", "half masked"])  # fmt: skip
def test_an_entry_for_a_person_counts_alone(entries, mine):
    assert Rights(BORIS, CMS, 0o660, acl_of_text(ACL.format(*entries))).allow(ME, READ) == mine


@pytest.mark.parametrize(("owning", "named", "others", "mine"), [
    ("r--", "---", "---", True), ("---", "r--", "---", True), ("---", "---", "rwx", False),
], ids=["the file's group", "a named group", "others do not count for who is in a group"])  # fmt: skip
def test_one_of_several_groups_is_enough(owning, named, others, mine):
    acl = acl_of_text(ACL.replace("user:71001:{}\n", "").format(owning, named, "rwx", others))
    assert Rights(BORIS, CMS, 0o660, acl).allow(ME, READ) == mine


def test_an_acl_of_the_kernel_and_of_tar_say_the_same():
    text = "user::rw-\nuser:71002:r--\ngroup::r-x\ngroup:91001:rwx\nmask::rwx\nother::--x\n"
    entries = ((1, 2**32 - 1, 6), (2, BORIS, 4), (4, 2**32 - 1, 5), (8, CMS, 7), (16, 2**32 - 1, 7), (32, 2**32 - 1, 1))
    packed = b"\2\0\0\0" + b"".join(struct.pack("<HHI", kind, allowed, id_) for kind, id_, allowed in entries)
    for reader in (ME, Reader(BORIS), Reader(5), Reader(None), Reader(5, frozenset({OTHER}))):
        one, other = (Rights(ZOE, OTHER, 0o664, acl) for acl in (acl_of_attribute(packed), acl_of_text(text)))
        assert all(one.allow(reader, wanted) == other.allow(reader, wanted) for wanted in range(8))


@pytest.mark.parametrize("acl", [
    acl_of_text("user:zoe:rwx"), acl_of_text("other::rwX"), acl_of_attribute(b""), acl_of_attribute(b"\1\0\0\0"),
    acl_of_attribute(b"\2\0\0\0\0"), acl_of_text(""),
])  # fmt: skip
def test_an_acl_that_is_not_understood_lets_nobody_in(acl):
    assert acl == NOBODY
    assert not any(Rights(BORIS, CMS, 0o666, acl).allow(reader, READ) for reader in (ME, Reader(BORIS), Reader(5)))


def test_who_has_no_number_reads_what_everybody_does():
    assert not Rights(0, 0, 0o660).allow(Reader(None), READ)
    assert Rights(0, 0, 0o664).allow(Reader(None), READ)


OPEN, CLOSED, BLIND = Rights(BORIS, CMS, 0o770), Rights(BORIS, CMS, 0o700), Rights(BORIS, CMS, 0o760)


def test_a_walk_stays_out_of_closed_folders():
    walk = Walk(ME)
    met = [("a", OPEN), ("a/b", CLOSED), ("a/b/c", OPEN), ("a/b/c/d", None), ("a/bb", OPEN), ("a/bb/c", OPEN),
           ("a/e", BLIND), ("a/e/f", None), ("ab", OPEN), ("ab/c", OPEN), ("z/y", OPEN), ("a", OPEN)]  # fmt: skip
    let = [path for path, rights in met if walk.lets(path, rights is not None, rights)]
    assert let == ["a", "a/bb", "a/bb/c", "ab", "ab/c", "a"]
    assert all(Walk(None).lets(path, True, rights) for path, rights in met)


@given(st.text(alphabet="a./\0\ud800é", max_size=30))
def test_no_path_leads_out_of_its_area(path):
    try:
        parts = areas.parts_of(path)
    except UserError:
        return
    assert "/".join(parts) == path
    assert all(part not in ("", ".", "..") and "\0" not in part for part in parts)
    assert os.path.normpath(f"/data/homes/zoe/{path}").startswith("/data/homes/zoe")


@pytest.mark.parametrize("path", ["a" * 4097, "é" * 2049, "a/" * 64 + "a"])
def test_paths_have_an_end(path):
    with pytest.raises(UserError, match="Restore a folder further up"):
        areas.parts_of(path)
    assert areas.parts_of("a" * 4000)


def test_areas_are_those_of_the_member():
    zoe = Person("zoe", "zoe", ZOE, (Group("cms/higgs", "cms-higgs--1", CMS),))
    room = (Room("cms", "cms/higgs", "CMS", "image", "2G", "1"), Person("room-cms", "room-cms", 71003, ()))
    found = areas.of_member(zoe, [room])
    assert [(each.name, each.kind, each.folder) for each in found.values()] == [
        ("home", "homes", "zoe"), ("shared", "shared", "zoe"), ("groups/cms-higgs--1", "groups", "cms-higgs--1"),
        ("rooms/cms", "rooms", "cms")]  # fmt: skip
    assert [each.reader for each in found.values()] == [None, None, ME, Reader(71003, frozenset({71003}))]


def test_the_book_of_uids_is_read_and_not_changed(tmp_path):
    path = tmp_path / "a?b#c.sqlite"
    with pytest.raises(OperatorError, match="cannot be read"):
        known(path, "zoe")
    assert list(tmp_path.iterdir()) == []
    book = Identities(path, range(ZOE, 80000), range(CMS, 99000))
    there = book.person("zoe", ["cms"])
    path.chmod(0o400)
    assert known(path, "zoe", ["cms", "new"]) == there
    assert known(path, "new", ["new"]) == Person("new", "new")


@given(st.binary(max_size=40))
def test_names_are_read_as_go_writes_them(name):
    assert trees.unquoted(_quoted(name)) == name


def _quoted(name: bytes) -> str:
    """As strconv.Quote does it, without its quotes."""
    short = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\",
             '"': r"\""}  # fmt: skip
    found = []
    for char in name.decode(errors="surrogateescape"):
        code = ord(char)
        if 0xDC80 <= code <= 0xDCFF:
            found.append(f"\\x{code - 0xDC00:02x}")
        elif char in short or char.isprintable():
            found.append(short.get(char, char))
        else:
            found.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}")
    return "".join(found)


@pytest.mark.parametrize("piece", [7, 100, 2**16])
def test_a_folder_is_read_entry_by_entry(piece):
    nodes = [{"name": f"é{number}", "content": ["f" * 64] * (number % 5)} for number in range(300)]
    text = json.dumps({"nodes": nodes}, ensure_ascii=False, separators=(",", ":")) + "\n"
    assert list(trees.parsed(io.BytesIO(text.encode()), 10 + piece)) == nodes
    assert list(trees.parsed(io.BytesIO(b'{"nodes":[]}\n'))) == list(trees.parsed(io.BytesIO(b'{"nodes":null}'))) == []
    assert len(list(trees.parsed(io.BytesIO(text.encode()[:5000])))) < 300
    with pytest.raises(UserError, match="cannot be shown"):
        list(trees.parsed(io.BytesIO(b'{"nodes":[{"name":"' + b"a" * 10**4), 100, 500))


def piped(data: bytes) -> Pipe:
    """A pipe in which this is."""
    end, start = os.pipe()

    def write() -> None:
        with os.fdopen(start, "wb") as file:
            file.write(data)

    threading.Thread(target=write, daemon=True).start()
    return Pipe("/target", os.fdopen(end, "rb"))


def tar(*entries: tuple[str, bytes, dict]) -> bytes:
    """An archive of files, or of folders where the name ends so."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, content, changes in entries:
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid, entry.mode = len(content), BORIS, CMS, 0o660
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o770
            for key, value in changes.items():
                setattr(entry, key, value)
            made.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def filtered(data: bytes, reader: Reader | None = ME, speaks_s: float = 10) -> bytes:
    """What passes of an archive, with an end."""
    passing = archive.filtered(piped(data), Walk(reader), lambda files, count: None, speaks_s)
    return b"".join(passing) + archive.END


def opened(data: bytes) -> dict[str, tarfile.TarInfo]:
    """Name -> what an archive says of it, in its order."""
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        return {each.name: each for each in found}


LONG = "a" * 300
ARCHIVE = tar(
    ("mine.txt", b"m" * 700, {}), ("private.txt", b"secret", {"mode": 0o600}),
    (LONG, b"long", {"pax_headers": {"SCHILY.xattr.user.note": "x"}}),
    ("acl.txt", b"for me", {"mode": 0o640, "gid": OTHER, "pax_headers": {"SCHILY.acl.access": ACL.format(
        "r--", "---", "---", "r--", "---")}}),
    ("big.uid", b"secret", {"uid": 2**31, "gid": 2**31, "mode": 0o660}),
    ("shut/", b"", {"mode": 0o700}), ("shut/open.txt", b"secret", {"mode": 0o666}),
    ("open/", b"", {}), ("open/link", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "mode": 0}),
    ("bad\udcff", b"odd", {}),
)  # fmt: skip


def test_what_the_reader_may_have_passes_as_it_is():
    found = opened(filtered(ARCHIVE))
    assert list(found) == ["mine.txt", LONG, "acl.txt", "open", "open/link", "bad\udcff"]
    assert found[LONG].pax_headers["SCHILY.xattr.user.note"] == "x"
    assert b"secret" not in filtered(ARCHIVE)
    whole = filtered(ARCHIVE, None)
    assert whole[:-1024] == ARCHIVE[: len(whole) - 1024]


def test_an_archive_that_is_cut_off_has_no_end():
    for length in (0, 100, 512, 600, 1024, len(ARCHIVE.rstrip(b"\0"))):
        with pytest.raises(Cut):
            filtered(ARCHIVE[:length])


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_LONGNAME,
                                  tarfile.XGLTYPE])  # fmt: skip
def test_members_that_restic_does_not_write_end_it(kind):
    with pytest.raises(Trouble, match="which we do not know"):
        filtered(tar(("odd", b"", {"type": kind, "linkname": "mine.txt"})))


def test_numbers_are_read_as_tar_writes_them():
    for value in (0, 7, 2**20, 2**21, 8**11 - 1, 2**40):
        text = tarfile.itn(value, 12, tarfile.GNU_FORMAT)
        assert archive.number(text) == value
    with pytest.raises(Trouble):
        archive.parsed("/target", b"12 path=x\n99 a=b\n")


def test_while_much_is_left_out_something_is_said():
    data = tar(("private.bin", bytes(2**20), {"mode": 0o600}), ("mine.txt", b"mine", {}))
    found = filtered(data, speaks_s=-1)
    assert list(opened(found)) == ["mine.txt"]
    assert found.count(archive.REMARK) == 4


def test_pieces_are_put_together_and_do_not_wait_for_ever():
    def pieces() -> Iterator[bytes]:
        yield from [b"ab"] * 5

    assert list(upload.in_chunks(pieces())) == [b"ab" * 5]
    assert list(upload.in_chunks(pieces(), size=4)) == [b"abab", b"abab", b"ab"]
    assert list(upload.in_chunks(pieces(), waits_s=-1)) == [b"ab"] * 5


def test_a_stop_reaches_what_is_under_way_and_what_comes_after():
    stop, ended = Stop(), []
    with stop.ends(lambda: ended.append("before")):
        pass
    with stop.ends(lambda: ended.append("one")), stop.ends(lambda: os.kill(2**22 + 1, 0)):
        stop.ask()
    with stop.ends(lambda: ended.append("after")):
        pass
    assert ended == ["one", "after"]


GOOD = {"kind": "user", "name": "zoe", "groups": ["cms"], "scopes": [asker.ACCESS]}


def test_only_a_person_with_a_token_of_the_page_is_somebody():
    assert asker.parsed(GOOD, "t").groups == {"cms"}
    assert "secret" not in repr(asker.parsed(GOOD, "secret"))
    for wrong in ({"kind": "service"}, {"name": None}, {"name": "room-cms"}, {"groups": None}, {"scopes": []},
                  {"scopes": ["access:services"]}, {"scopes": [f"{asker.ACCESS}-export"]}):  # fmt: skip
        with pytest.raises(UserError):
            asker.parsed({**GOOD, **wrong}, "t")
    with pytest.raises(UserError):
        asker.parsed([], "t")


def test_a_connection_for_which_there_is_no_thread_keeps_no_place():
    with door.server(lambda question: (200, {}), lambda path: (200, "ok"), 0) as server:
        threading.stack_size(2**47)  # no machine has so much
        try:
            for _ in range(door.AT_ONCE + 1):
                with socket.socket() as request, pytest.raises(RuntimeError, match="start new thread"):
                    server.process_request(request, ("127.0.0.1", 1))
        finally:
            threading.stack_size(0)
