"""Which GPUs are found: the real nvidia-ml-py on a stand-in for the driver's library, and specifications as
nvidia-ctk writes them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.gpus import A100, CARDS, CUT, GIB, LOST, WHOLE, Card, Driver, lent, specification

from jupyterhub_mlinfn.gpus import Device, Found
from jupyterhub_mlinfn.gpus.cdi import COMMAND

LOST_NOTE = "GPU 2 does not answer (GPU is lost) and is not lent. See: nvidia-smi, dmesg | grep -i xid"
KIND = "nvidia.com/gpu="
INVALID_ARGUMENT, DRIVER_NOT_LOADED, UNKNOWN = 2, 9, 999


@pytest.fixture(autouse=True)
def usual_machine(request):
    """Three cards, one of them broken, and no specification."""
    if "driver" in request.fixturenames:
        driver = request.getfixturevalue("driver")
        driver.has(*CARDS)
        for name in ("nvidia.yaml", "other.yaml"):
            driver.specify(None, name)


@pytest.fixture(scope="module")
def no_library(tmp_path_factory):
    """A machine without NVIDIA's library: what has its name is none."""
    folder = tmp_path_factory.mktemp("no-library")
    (folder / "libnvidia-ml.so.1").write_text("not a library")
    driver = Driver(folder / "machine", folder)
    yield driver
    driver.close()


def names(found: Found) -> list[str]:
    """What the Engine calls the devices."""
    return [device.cdi for device in found.devices]


def test_cards_and_slices_are_read_and_a_lost_card_is_named(driver):
    found = driver.found(driver="nvidia")
    assert found == Found(lent(CARDS), "nvml", (LOST_NOTE,))
    assert found.devices[0] == Device(WHOLE.uuid, A100, 80 * GIB, 0, nodes=("/dev/nvidia1",))
    assert [(part.index, part.number, part.profile, part.parent, part.memory) for part in found.devices[1:]] == [
        (1, 0, "1g.10gb", CUT.uuid, 10 * GIB), (1, 2, "1g.10gb", CUT.uuid, 10 * GIB),
    ]  # fmt: skip
    assert found.devices[2].nodes == ("/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap30", "/dev/nvidia-caps/nvidia-cap31")


def test_card_in_mig_mode_without_slices_is_not_lent(driver):
    driver.has(replace(CUT, slices=()))
    assert driver.found().devices == ()


def test_number_that_the_driver_calls_invalid_is_a_gap_too(driver):
    first, second = CUT.slices
    driver.has(replace(CUT, slices=(replace(first, code=INVALID_ARGUMENT), second)))
    assert [device.uuid for device in driver.found().devices] == [second.uuid]


def test_slice_that_cannot_be_read_takes_its_card_with_it(driver):
    first, second = CUT.slices
    driver.has(WHOLE, replace(CUT, slices=(first, replace(second, code=UNKNOWN))))
    found = driver.found(driver="nvidia")
    assert [device.uuid for device in found.devices] == [WHOLE.uuid]
    assert found.notes[0].startswith("GPU 1 does not answer (Unknown Error)")


def test_library_that_fails_at_its_end_has_told_all_the_same(driver):
    driver.has(WHOLE, shutdown=UNKNOWN)
    assert driver.found(driver="nvidia") == Found(lent([WHOLE]), "nvml")


@pytest.mark.parametrize("source", ["auto", "nvml"])
def test_driver_in_trouble_lends_nothing_whatever_the_specifications_say(driver, source):
    driver.has(*CARDS, init=DRIVER_NOT_LOADED)
    driver.specify(specification(CARDS, ["uuid"]))
    found = driver.found(source=source)
    assert (found.devices, found.source) == ((), "none")
    assert found.notes == ("NVIDIA's driver does not answer: Driver Not Loaded. No GPU is lent. See: nvidia-smi",)


@pytest.mark.parametrize(("by", "expected"), [
    (["index"], ["0", "1:0", "1:2"]),
    (["type-index"], ["gpu0", "mig1:0", "mig1:2"]),
    (["uuid"], [WHOLE.uuid, *(part.uuid for part in CUT.slices)]),
    (["index", "uuid"], [WHOLE.uuid, *(part.uuid for part in CUT.slices)]),
])  # fmt: skip
@pytest.mark.parametrize("file", ["nvidia.yaml", "nvidia.json"])
def test_devices_get_the_names_of_the_specification(driver, by, expected, file):
    driver.specify(specification(CARDS, by), file)
    found = driver.found(driver="cdi")
    driver.specify(None, file)
    assert names(found) == [KIND + name for name in expected]
    assert [device.nodes for device in found.devices] == [device.nodes for device in lent(CARDS)]
    assert found.notes == (LOST_NOTE,)


def test_yesterdays_index_of_another_card_is_not_used(driver):
    gone = Card("GPU-dddd0000-0000-4000-8000-000000000000", 3)
    driver.specify(specification([gone, WHOLE]))
    driver.has(WHOLE)
    found = driver.found(driver="cdi")
    assert found.devices == ()
    assert found.notes == (f"Docker has no CDI name for {WHOLE.uuid}: not lent. Make one: {COMMAND}",)


def test_uuid_with_yesterdays_node_is_not_used(driver):
    driver.specify(specification([replace(WHOLE, minor=7)], ["uuid"]))
    driver.has(WHOLE)
    assert driver.found(driver="cdi").devices == ()


def test_uuid_whose_specification_names_no_card_is_used(driver):
    """As on Windows' Linux, where a card is /dev/dxg."""
    content = specification([WHOLE], ["uuid"])
    content["devices"][0]["containerEdits"]["deviceNodes"] = [{"path": "/dev/dxg"}]
    driver.specify(content)
    driver.has(WHOLE)
    assert names(driver.found(driver="cdi")) == [KIND + WHOLE.uuid]


def test_slices_cut_anew_do_not_keep_their_indexes(driver):
    driver.specify(specification(CARDS))
    first, second = CUT.slices
    driver.has(WHOLE, replace(CUT, slices=(replace(first, instance=5), second)))
    assert names(driver.found(driver="cdi")) == [f"{KIND}0", f"{KIND}1:2"]


def test_index_of_a_slice_is_not_believed_where_the_driver_tells_no_rights(driver):
    driver.specify(specification(CARDS))
    (driver.folder / "minors").unlink()
    found = driver.found(driver="cdi")
    assert names(found) == [f"{KIND}0"]
    assert all(part.uuid in found.notes[-1] for part in CUT.slices)


@pytest.mark.parametrize(("wanted", "lends", "says"), [
    ("cdi", False, f"not lent. Make one: {COMMAND}"),
    ("auto", True, f"given through NVIDIA's runtime. For CDI: {COMMAND}"),
    ("nvidia", True, None),
])  # fmt: skip
def test_what_is_missing_is_said_with_the_command_that_makes_it(driver, wanted, lends, says):
    driver.has(WHOLE)
    found = driver.found(driver=wanted)
    assert found.devices == (lent([WHOLE]) if lends else ())
    assert found.notes == ((f"Docker has no CDI name for {WHOLE.uuid}: {says}",) if says else ())


def test_what_two_files_name_is_refused_by_the_engine_and_by_us(driver):
    driver.has(WHOLE)
    driver.specify(specification([WHOLE], ["index", "uuid"]))
    driver.specify(specification([WHOLE], ["uuid"]), "other.yaml")
    assert names(driver.found(driver="cdi")) == [f"{KIND}0"]


@pytest.mark.parametrize("content", [
    "", "[]", "\0", "kind: [", "kind: {a: 1}", "kind: amd.com/gpu\ndevices: [{name: 0}]", "kind: nvidia.com/gpu",
    "kind: nvidia.com/gpu\ndevices: 3", "kind: nvidia.com/gpu\ndevices: [3, {}, null]",
    "kind: nvidia.com/gpu\ndevices: [{name: 0, containerEdits: [1]}]",
    "kind: nvidia.com/gpu\ndevices: [{name: 0, containerEdits: {deviceNodes: [1, {}]}}]",
])  # fmt: skip
def test_file_that_is_no_specification_is_as_good_as_none(driver, content):
    (driver.specifications / "nvidia.yaml").write_text(content)
    assert driver.found(driver="cdi").devices == ()


def test_specification_is_read_anew_when_it_changes(driver):
    driver.has(WHOLE)
    driver.specify(specification([WHOLE], ["index"]))
    assert names(driver.found()) == [f"{KIND}0"]
    driver.specify(specification([WHOLE], ["uuid"]))
    assert names(driver.found()) == [KIND + WHOLE.uuid]


@pytest.mark.parametrize("source", ["auto", "cdi"])
def test_without_library_the_specifications_tell(no_library, source):
    no_library.specify(specification(CARDS, ["index", "uuid"]))
    found = no_library.found(source=source)
    assert (found.source, found.notes) == ("cdi", ())
    assert [(device.uuid, device.cdi, device.index, device.profile) for device in found.devices] == [
        (WHOLE.uuid, KIND + WHOLE.uuid, 0, ""), *((part.uuid, KIND + part.uuid, -1, "slice") for part in CUT.slices),
    ]  # fmt: skip


def test_card_whose_slices_are_specified_is_not_lent_whole(no_library):
    content = specification(CARDS, ["uuid"])
    content["devices"].append({"name": CUT.uuid, "containerEdits": {"deviceNodes": [{"path": CUT.node}]}})
    no_library.specify(content)
    assert CUT.uuid not in [device.uuid for device in no_library.found().devices]


@pytest.mark.parametrize(("source", "content", "note"), [
    ("auto", None, None),
    ("auto", specification(CARDS), "Docker's specifications name no GPU by its UUID. Make one that does: "),
    ("cdi", None, "Docker's specifications name no GPU by its UUID. Make one that does: "),
    ("nvml", specification(CARDS, ["uuid"]), "NVIDIA's driver does not answer: NVML Shared Library Not Found. "),
])  # fmt: skip
def test_nothing_is_found_and_the_note_says_what_to_do(no_library, source, content, note):
    no_library.specify(content)
    found = no_library.found(source=source)
    assert (found.devices, found.source) == ((), "none")
    assert [each[:len(note)] for each in found.notes] == [note] if note else found.notes == ()


def test_simulated_and_none_ask_nobody(driver):
    assert driver.found(source="none") == Found()
    found = driver.found(source="simulated", simulated=3)
    assert (found.source, len(found.devices)) == ("simulated", 3)
    assert found.notes == ("The GPUs are made up: labs get none.",)
    assert {device.model for device in found.devices} == {"Simulated GPU"}


def test_device_that_disappears_is_withdrawn_and_comes_back(driver):
    settings = {"driver": "nvidia"}
    answer = driver.ask("first", **settings)
    assert (answer["changed"], answer["log"]) == (True, [LOST_NOTE])
    assert (driver.ask("again", **settings)["changed"], driver.ask("again", **settings)["log"]) == (False, [])
    driver.has(WHOLE, replace(CUT, slices=CUT.slices[:1]), LOST)
    answer = driver.ask("again", **settings)
    gone = CUT.slices[1].uuid
    assert answer["log"] == [f"The GPU {gone} has disappeared and is not lent any more."]
    assert gone not in [device["uuid"] for device in answer["devices"]]
    driver.has(*CARDS)
    answer = driver.ask("again", **settings)
    assert (answer["changed"], answer["log"], len(answer["devices"])) == (True, [], 3)


def test_driver_that_stops_answering_withdraws_all(driver):
    driver.ask("first", driver="nvidia")
    driver.has(*CARDS, init=UNKNOWN)
    answer = driver.ask("again", driver="nvidia")
    assert answer["devices"] == []
    assert len(answer["log"]) == 4
    assert lent([LOST]) == ()
