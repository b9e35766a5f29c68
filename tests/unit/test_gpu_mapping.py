"""The files for dcgm-exporter: their names, who is in them, and that none goes while it is read."""

from __future__ import annotations

from pathlib import Path

from support.gpus import CARDS, CUT, WHOLE, lent

from jupyterhub_mlinfn.gpus import Device, Holder, View, classes_of, mapping
from jupyterhub_mlinfn.settings import GPUs

FIRST, SECOND = (part.uuid for part in CUT.slices)
HOLDERS = (
    Holder("1", (WHOLE.uuid,), 1, "zoe"), Holder("2", (WHOLE.uuid, SECOND), 1, "anna"),
    Holder("3", (WHOLE.uuid,), 1, "anna", "second"), Holder("4", (FIRST,)), Holder("5", ("GPU-gone",), 1, "bob"),
)  # fmt: skip


def view(*holders: Holder) -> View:
    """Of the cards of all tests, whose minors and indexes differ."""
    return View(0, classes_of(lent(CARDS), GPUs()), holders)


def test_files_are_named_as_dcgm_counts_and_hold_each_person_once():
    assert mapping.jobs(view(*HOLDERS)) == {"0": "anna\nzoe\n", "1.1": "", "1.3": "anna\n"}


def test_without_names_nobody_is_in_them():
    assert set(mapping.jobs(view(*HOLDERS), named=False).values()) == {""}


def test_a_device_whose_numbers_are_not_known_has_no_file():
    cut = Device("MIG-1", "NVIDIA GPU", 0, 0, "slice")
    assert [mapping.name_of(each) for each in (Device("GPU-1", "NVIDIA GPU", 0), cut)] == ["", ""]


def test_files_are_replaced_and_those_of_cards_that_went_are_removed(tmp_path: Path):
    folder = tmp_path / "dcgm"
    mapping.write(folder, {"0": "anna\n", "1.3": ""})
    (folder / "remark").write_text("of the keeper")
    before = (folder / "0").stat().st_mtime_ns
    mapping.write(folder, {"0": "anna\n", "2": "bob\n"})
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "0": "anna\n", "2": "bob\n", "remark": "of the keeper"}  # fmt: skip
    assert (folder / "0").stat().st_mtime_ns == before
    assert folder.stat().st_mode & 0o777 == 0o755
