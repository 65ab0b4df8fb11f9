"""One process at a time per directory, however the last one ended; and what this machine is."""

import ipaddress
import os
import subprocess
import sys
from pathlib import Path

import pytest

from podward.machinery.host import DirectoryInUse, DirectoryLock, default_address, read_machine

HOLDER = """
import sys
from pathlib import Path
from podward.machinery.host import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def hold(directory: Path) -> "subprocess.Popen[str]":
    """A process that holds the directory until its input ends or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_directory_is_held_once(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    with pytest.raises(DirectoryInUse):
        DirectoryLock(tmp_path)
    lock.release()


def test_who_comes_second_is_told_who_came_first(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    with pytest.raises(DirectoryInUse) as refused:
        DirectoryLock(tmp_path)
    assert refused.value.holder == str(os.getpid())
    assert str(refused.value) == f"{tmp_path} is in use by process {os.getpid()}"
    lock.release()


def test_what_was_released_can_be_held_again(tmp_path: Path) -> None:
    DirectoryLock(tmp_path).release()
    DirectoryLock(tmp_path).release()


def test_a_refusal_does_not_take_the_lock_away(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    for _ in range(2):
        with pytest.raises(DirectoryInUse) as refused:
            DirectoryLock(tmp_path)
        assert refused.value.holder == str(os.getpid())
    lock.release()


def test_other_directories_are_free(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    locks = [DirectoryLock(tmp_path), DirectoryLock(tmp_path / "other")]
    with pytest.raises(DirectoryInUse):
        DirectoryLock(tmp_path / "other")
    for lock in locks:
        lock.release()


def test_a_file_left_behind_locks_nothing_and_its_longer_pid_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("99999999999\n")
    lock = DirectoryLock(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_directory_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DirectoryLock(tmp_path / "none")


def test_another_process_is_named_and_its_death_frees_the_directory(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        with pytest.raises(DirectoryInUse) as refused:
            DirectoryLock(tmp_path)
        assert refused.value.holder == str(process.pid)
        process.kill()
    DirectoryLock(tmp_path).release()


def test_a_process_started_by_the_holder_does_not_hold_it(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        lock.release()
        DirectoryLock(tmp_path).release()


def test_no_name_for_the_holder_is_no_name_to_tell(tmp_path: Path) -> None:
    refusal = DirectoryInUse(tmp_path, "")
    assert str(refusal) == f"{tmp_path} is in use by process unknown"


def test_this_machine_has_an_address_and_a_size() -> None:
    assert ipaddress.IPv4Address(default_address()) != ipaddress.IPv4Address("0.0.0.0")
    machine = read_machine()
    assert machine.kernel == os.uname().release
    assert machine.processors == os.cpu_count()
    assert machine.memory_kib > 1024
    assert machine.architecture not in ("", "x86_64", "aarch64")
    assert machine.os_image
