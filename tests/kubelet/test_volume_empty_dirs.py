"""emptyDir: its medium, its size, whose it is, how much is in it."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1
from tests.kubelet.mounting import mounted_below, mounter

from podward.kubelet.volume_empty_dirs import memory_size, set_up, used_bytes
from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_plan import VolumeError

__all__ = ["mounter"]

MI = 1 << 20
NODE = 1024 * MI


def container(memory: str | None = None, **fields: Any) -> dict[str, Any]:
    limits = {"resources": {"limits": {"memory": memory}}} if memory else {}
    return {"name": fields.pop("name", "c"), **limits, **fields}


def pod(*containers: dict[str, Any], init: Any = ()) -> core_v1.Pod:
    named = [{**c, "name": f"c{i}"} for i, c in enumerate(containers or [container()])]
    inits = [{**c, "name": f"i{i}"} for i, c in enumerate(init)]
    spec = {"containers": named, "initContainers": inits}
    return msgspec.convert({"spec": spec}, core_v1.Pod)


SIDECAR = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("whole", "limit", "size"),
    [
        (pod(), None, NODE),
        (pod(), "10Mi", 10 * MI),
        (pod(), "0", NODE),
        (pod(), "10Gi", NODE),
        (pod(container("20Mi"), container("30Mi")), None, 50 * MI),
        (pod(container("20Mi"), container("30Mi")), "10Mi", 10 * MI),
        (pod(container("20Mi"), container("30Mi")), "90Mi", 50 * MI),
        (pod(container("20Mi"), container()), None, NODE),
        (pod(container("20Mi"), init=[container("90Mi"), container("30Mi")]), None, 90 * MI),
        (pod(container("20Mi"), init=[container("30Mi", **SIDECAR), container("5Mi")]), None, 50 * MI),
        (pod(container("20Mi"), init=[container("30Mi", **SIDECAR), container("60Mi")]), None, 90 * MI),
        (pod(container("20Mi"), init=[container()]), None, NODE),
        (pod(container("10Gi")), None, NODE),
    ],
    ids=["the machine's", "its own", "none of its own", "more than there is", "all containers'",
         "less than those", "more than those", "one without", "an init container's", "a sidecar's",
         "an init container's beside a sidecar", "an init container without", "more than all"],
)  # fmt: skip
def test_how_large_it_is_in_memory(whole: core_v1.Pod, limit: str | None, size: int) -> None:
    source = core_v1.EmptyDirVolumeSource(medium="Memory", sizeLimit=limit)
    assert memory_size(whole, source, NODE) == size


class Stage:
    def __init__(self, folder: Path, mounter: Mounter | None, group: int | None = None) -> None:
        self.place, self.ready = folder / "volumes/v", folder / "volumes-ready/v"
        self.mounter = mounter
        self.group = group

    def set_up(self, whole: core_v1.Pod | None = None, **source: Any) -> None:
        set_up(
            whole or pod(), core_v1.EmptyDirVolumeSource(**source), self.place, self.ready,
            mounter=self.mounter, group=self.group, node_memory=NODE,
        )  # fmt: skip

    @property
    def mode(self) -> int:
        return self.place.stat().st_mode & 0o7777


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_without_a_mounter_it_is_a_directory_that_all_may_write(
    tmp_path: Path, medium: str
) -> None:
    stage = Stage(tmp_path, None)
    stage.set_up(medium=medium)
    assert stage.mode == 0o777
    assert mounted_below(tmp_path) == []


def test_it_is_made_once(tmp_path: Path, mounter: Mounter) -> None:
    stage = Stage(tmp_path, mounter)
    stage.set_up()
    assert stage.mode == 0o777
    stage.place.chmod(0o700)
    stage.set_up()
    assert stage.mode == 0o700


def test_a_death_while_it_is_made_is_made_good(tmp_path: Path, mounter: Mounter) -> None:
    stage = Stage(tmp_path, mounter, group=4321)
    stage.place.mkdir(parents=True, mode=0o700)
    stage.set_up(medium="Memory")
    stage.ready.unlink()
    stage.place.chmod(0o700)
    stage.set_up(medium="Memory")
    assert stage.mode == 0o3777
    assert mounted_below(tmp_path) == ["volumes/v"]


def test_memory_outlives_a_container_and_not_the_machine(tmp_path: Path, mounter: Mounter) -> None:
    stage = Stage(tmp_path, mounter)
    stage.set_up(medium="Memory", sizeLimit="1Mi")
    assert stage.mode == 0o1777
    assert os.statvfs(stage.place).f_blocks * os.statvfs(stage.place).f_frsize == MI
    (stage.place / "kept").touch()
    stage.set_up(medium="Memory", sizeLimit="1Mi")
    assert (stage.place / "kept").exists()
    mounter.unmount_below(stage.place)
    stage.set_up(medium="Memory", sizeLimit="1Mi")
    assert mounter.is_mounted(stage.place)
    assert not (stage.place / "kept").exists()


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_the_pods_group_owns_it(tmp_path: Path, mounter: Mounter, medium: str) -> None:
    stage = Stage(tmp_path, mounter, group=4321)
    stage.set_up(medium=medium)
    assert stage.place.stat().st_gid == 4321
    assert stage.mode & 0o2777 == 0o2777
    (stage.place / "made").mkdir()
    assert (stage.place / "made").stat().st_gid == 4321


def asking(*sizes: str) -> core_v1.Pod:
    requests = {f"hugepages-{size}": "2Mi" for size in sizes}
    return pod({"name": "c", "resources": {"requests": requests}})


@pytest.mark.parametrize(
    ("whole", "medium", "why"),
    [
        (pod(), "HugePages-3Mi", "this machine has no huge pages of 3Mi set aside"),
        (asking("3Mi"), "HugePages", "this machine has no huge pages of 3Mi set aside"),
        (pod(), "HugePages", "names no size, and the pod's containers use no huge pages"),
        (asking("2Mi", "1Gi"), "HugePages", r"use huge pages of several sizes \(2\)"),
        (pod(), "Tape", 'unknown storage medium "Tape"'),
    ],
)
def test_what_cannot_be_had(
    tmp_path: Path, mounter: Mounter, whole: core_v1.Pod, medium: str, why: str
) -> None:
    with pytest.raises(VolumeError, match=why):
        Stage(tmp_path, mounter).set_up(whole, medium=medium)
    assert mounted_below(tmp_path) == []


def test_huge_pages_need_root(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="by root only"):
        Stage(tmp_path, None).set_up(medium="HugePages-2Mi")


def test_what_is_in_it_is_counted_once_and_only_what_is_its_own(
    tmp_path: Path, mounter: Mounter
) -> None:
    place, beside = tmp_path / "v", tmp_path / "beside"
    (place / "deep").mkdir(parents=True)
    beside.mkdir()
    empty = used_bytes(place)
    (place / "deep/file").write_bytes(b"x" * MI)
    os.link(place / "deep/file", place / "again")
    (beside / "large").write_bytes(b"x" * MI)
    (place / "link").symlink_to(beside)
    (place / "mount").mkdir()
    mounter.tmpfs(place / "mount")
    (place / "mount/more").write_bytes(b"x" * MI)
    assert MI <= used_bytes(place) - empty < MI + 64 * 1024
    with (place / "hole").open("wb") as sparse:
        sparse.truncate(8 * MI)
    assert used_bytes(place) - empty < MI + 128 * 1024
    assert used_bytes(tmp_path / "none") == 0
