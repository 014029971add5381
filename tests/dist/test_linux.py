"""The static programs for Linux, where nothing but they is."""

import shutil

import pytest

from conftest import BUILT, Machine

X86_64 = BUILT / "muster-sensor-x86_64-linux"
ARM64 = BUILT / "muster-sensor-arm64-linux"


pytestmark = pytest.mark.skipif(not X86_64.is_file(), reason="built, and checked, by ./test dist --long alone")


@pytest.fixture
def empty_root(folder):
    """A root with the program and nothing else."""
    root = folder / "root"
    root.mkdir()
    shutil.copy(X86_64, root / "muster-sensor")
    return root


def test_ten_4_the_static_sensor_works_in_an_empty_root(world, empty_root):
    sensor = Machine(world, "static", ["chroot", str(empty_root), "/muster-sensor"], "/state", {})
    try:
        assert sensor.info()["arch"] == 2 and sensor.info()["plat"] == 0x20000000
        listed = sensor.answer("dir_list / '*'")["DIRECTORY_LIST"]
        assert {one["FILE_NAME"] for one in listed} == {"muster-sensor", "state"}, listed
        assert (empty_root / "state" / "journal").is_file()
    finally:
        sensor.process.stop()


def test_ten_4_the_sensor_for_arm_works_on_an_emulated_processor(world, folder):
    state = folder / "arm64-state"
    sensor = Machine(world, "arm64", ["qemu-aarch64", str(ARM64)], str(state), {})
    try:
        assert sensor.info()["arch"] == 4, sensor.info()
        assert sensor.answer("os_version")["ARCHITECTURE"] == "arm64"
        answer = sensor.answer("run --shell-command 'echo out; exit 3'")
        assert (answer["STDOUT"], answer["ERROR"]) == ("out\n", 3), answer
    finally:
        sensor.process.stop()
