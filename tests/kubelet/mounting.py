"""Mounts in tests: only root makes them, and each test leaves none."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from podward.kubelet.volume_mounter import Mounter


def mounted_below(folder: Path) -> list[str]:
    """What the kernel says, in the order in which it was mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return [p.removeprefix(f"{folder}/") for p in points if p.startswith(f"{folder}/")]


@pytest.fixture
def mounter(tmp_path: Path) -> Iterator[Mounter]:
    made = Mounter.of_this_machine(tmp_path)
    if made is None:
        if os.environ.get("CI") == "true":
            pytest.fail("cannot be had on this machine: mounting")
        pytest.skip("NOT TESTED, cannot be had on this machine: mounting")
    yield made
    made.unmount_below(tmp_path)
