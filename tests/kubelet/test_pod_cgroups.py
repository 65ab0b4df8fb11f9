"""The cgroup of a Pod: its weight, and its removal from every hierarchy."""

import asyncio
import os
from pathlib import Path

import pytest

from podward.kubelet.pod_cgroups import PodCgroups, weight


@pytest.mark.parametrize(
    ("parent", "path"),
    [
        ("/kubepods/burstable/pod1", "kubepods/burstable/pod1"),
        ("/kubepods/pod1", "kubepods/pod1"),
        (
            "kubepods-burstable-pod1_2.slice",
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice",
        ),
    ],
)
def test_it_is_removed_from_each_hierarchy(tmp_path: Path, parent: str, path: str) -> None:
    for hierarchy in ("cpu", "memory", "unified", "."):
        (tmp_path / hierarchy / path / "left-by-the-engine").mkdir(parents=True)
    (tmp_path / "memory" / path).parent.joinpath("pod9").mkdir()
    asyncio.run(PodCgroups(tmp_path).remove(parent))
    asyncio.run(PodCgroups(tmp_path).remove(parent))
    for hierarchy in ("cpu", "memory", "unified", "."):
        assert not (tmp_path / hierarchy / path).exists()
        assert (tmp_path / hierarchy / path).parent.is_dir()
    assert (tmp_path / "memory" / path).parent.joinpath("pod9").is_dir()


@pytest.mark.parametrize("parent", ["", "/", "/kubepods", "/kubepods/burstable", "system.slice"])
def test_nothing_but_a_pods_own_is_removed(tmp_path: Path, parent: str) -> None:
    for path in ("kubepods/burstable", "system.slice"):
        (tmp_path / "cpu" / path).mkdir(parents=True)
    asyncio.run(PodCgroups(tmp_path).remove(parent))
    assert (tmp_path / "cpu/kubepods/burstable").is_dir()
    assert (tmp_path / "cpu/system.slice").is_dir()


def test_what_the_engine_is_still_leaving_is_tried_again(tmp_path: Path) -> None:
    group = tmp_path / "cpu/kubepods/pod1"
    group.mkdir(parents=True)
    (group / "busy").write_text("")  # a directory with a file in it cannot be removed either

    async def main() -> None:
        removing = asyncio.ensure_future(PodCgroups(tmp_path).remove("/kubepods/pod1"))
        await asyncio.sleep(0)
        os.unlink(group / "busy")
        await removing

    asyncio.run(main())
    assert not group.exists()


def test_it_weighs_what_its_containers_ask_for(tmp_path: Path) -> None:
    for hierarchy, file in (("cpu", "cpu.shares"), ("unified", "cpu.weight"), ("memory", "")):
        group = tmp_path / hierarchy / "kubepods/pod1"
        group.mkdir(parents=True)
        if file:
            (group / file).write_text("")
    PodCgroups(tmp_path).weigh("/kubepods/pod1", 1024)
    assert (tmp_path / "cpu/kubepods/pod1/cpu.shares").read_text() == "1024"
    assert (tmp_path / "unified/kubepods/pod1/cpu.weight").read_text() == "39"
    PodCgroups(tmp_path).weigh("", 1024)


@pytest.mark.parametrize(("shares", "expected"), [(0, 1), (2, 1), (1024, 39), (262_144, 10_000)])
def test_weights_of_version_2(shares: int, expected: int) -> None:
    assert weight(shares) == expected
