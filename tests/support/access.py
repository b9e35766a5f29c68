"""Who may do what with which files: one table, for the tests that try each row in a lab and docs/reference/files.md.

Anna is in the group cms; boris in cms and ml; the keeper, who administers the hub, in ml. `/data/course` is for all to
read, `/data/cms` for cms to write.
"""

from __future__ import annotations

from dataclasses import dataclass

from support.places import CHECKOUT

PAGE = CHECKOUT / "docs/reference/files.md"
BEGIN, END = "<!-- the table of tests/support/access.py -->", "<!-- its end -->"
PEOPLE = {"anna": ("cms",), "boris": ("cms", "ml"), "keeper": ("ml",)}


@dataclass(frozen=True)
class Row:
    """Somebody does something, by a shell command in their lab that ends well if and only if it `may` be done."""

    who: str
    does: str
    command: str
    may: bool


# Before the rows are tried; what somebody leaves for the others to find.
SETTING = {
    "anna": "echo hers >~/private; echo hers >/shared/anna/open; echo hers >/data/cms/hers; umask 077; "
            "mkdir /groups/cms/day; echo hers >/groups/cms/day/notes; echo hers >/groups/cms/day/draft",
    "boris": "echo his >~/private; echo his >/shared/boris/open; echo his >/shared/boris/closed; "
             "chmod 600 /shared/boris/closed; ln -s ~/private /shared/boris/home; ln -s /etc/passwd "
             "/shared/boris/system; echo his >/groups/ml/notes; ln -s /groups/ml/notes /groups/cms/ml",
}  # fmt: skip

ROWS = (
    Row("anna", "reads and writes her home", "echo text >~/file && grep -q text ~/file", True),
    Row("anna", "runs a program in her home", "printf '#!/bin/sh\\n' >~/run && chmod +x ~/run && ~/run", True),
    Row("anna", "finds another home beside hers", 'test "$(ls /home)" != anna', False),
    Row("anna", "reads a private file of boris", "cat /home/boris/private", False),
    Row("anna", "lists what everybody shares", "ls /shared/boris && ls ~/shared/keeper", True),
    Row("anna", "writes into her shared folder", "echo text >/shared/anna/file && test -O /shared/anna/file", True),
    Row("anna", "writes into `/shared` beside it", "touch /shared/file", False),
    Row("anna", "reads what boris shares", "grep -q his /shared/boris/open", True),
    Row("anna", "reads what boris closed to others there", "cat /shared/boris/closed", False),
    Row("anna", "changes what boris shares", "echo hers >>/shared/boris/open", False),
    Row("anna", "deletes what boris shares", "rm -f /shared/boris/open", False),
    Row("anna", "removes the shared folder of boris", "mv /shared/boris /shared/anna/boris", False),
    Row("anna", "follows a link that boris shares into his home", "cat /shared/boris/home", False),
    Row("anna", "follows one to a file of the system, and finds that of her own lab",
        "grep -q ^anna: /shared/boris/system", True),
    Row("anna", "mounts `/shared` anew to write", "mount -o remount,rw /shared", False),
    Row("anna", "keeps a hard link to what boris shares", "ln /shared/boris/open ~/kept", False),
    Row("anna", "makes a file in the folder of her group", "echo text >/groups/cms/file && ls ~/groups/cms/file", True),
    Row("boris", "reads what anna made there", "grep -q hers /groups/cms/day/notes", True),
    Row("boris", "edits what anna made there", "echo his >>/groups/cms/day/notes", True),
    Row("boris", "adds to a folder that anna made there", "mkdir /groups/cms/day/his", True),
    Row("boris", "deletes what anna made there", "rm -f /groups/cms/day/draft", True),
    Row("boris", "finds files of cms as those of the group", 'test "$(stat -c %G /groups/cms/day/notes)" = cms', True),
    Row("boris", "changes rights of what anna made there", "chmod 600 /groups/cms/day/notes", False),
    Row("boris", "moves a file from one of his groups to the other",
        "cp /groups/cms/day/notes /groups/ml/copy && test \"$(stat -c %G /groups/ml/copy)\" = ml", True),
    Row("anna", "opens the folder of a group that she is not in", "ls /groups/ml", False),
    Row("anna", "follows a link into it that boris left for her", "cat /groups/cms/ml", False),
    Row("anna", "changes the rights of her group's folder", "chmod 777 /groups/cms", False),
    Row("anna", "makes a folder for another group", "mkdir /groups/other", False),
    Row("anna", "gives a file away", "touch /groups/cms/gift && chown boris /groups/cms/gift", False),
    Row("anna", "gives a file to a group that she is not in", "touch ~/gift && chgrp 90001 ~/gift", False),
    Row("keeper", "opens the folder of a group that they are not in", "ls /groups/cms", False),
    Row("keeper", "reads what anna shares", "grep -q hers /shared/anna/open", True),
    Row("keeper", "writes where anna shares", "touch /shared/anna/theirs", False),
    Row("keeper", "reads a home that is not theirs", "cat /home/anna/private", False),
    Row("keeper", "works with the files of their group", "echo more >>/groups/ml/notes", True),
    Row("anna", "reads the site's `/data/course`", "grep -q lesson /data/course/one", True),
    Row("anna", "writes into it", "touch /data/course/two", False),
    Row("anna", "writes into the site's `/data/cms`", "echo text >/data/cms/file", True),
    Row("boris", "edits what anna put there", "echo his >>/data/cms/hers", True),
    Row("keeper", "opens `/data/cms`", "ls /data/cms", False),
    Row("anna", "writes into `/tmp` and `/dev/shm`", "touch /tmp/file /dev/shm/file", True),
    Row("anna", "changes a file of the system", "echo anna::0:0::/:/bin/sh >>/etc/passwd", False),
    Row("anna", "reads the passwords of the system", "cat /etc/shadow", False),
    Row("anna", "installs a program for all", "touch /usr/local/bin/program", False),
    Row("anna", "makes a device", "mknod ~/disk b 8 0", False),
    Row("anna", "finds Docker's socket", "ls /var/run/docker.sock /run/docker.sock", False),
)


def table() -> str:
    """The rows as the page shows them."""
    lines = [f"| {row.who} | {row.does} | {'yes' if row.may else 'no'} |" for row in ROWS]
    return "\n".join([BEGIN, "", "| who | does | may |", "|---|---|---|", *lines, "", END])


def with_table(page: str) -> str:
    """The page with the table of now."""
    before, _, rest = page.partition(BEGIN)
    return before + table() + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
