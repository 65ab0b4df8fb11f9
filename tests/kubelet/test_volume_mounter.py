"""Mounting as root: what is made is found, shared, and undone, whoever made it."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.kubelet.mounting import mounted_below, mounter

from podward.kubelet import volume_mounter
from podward.kubelet.volume_mounter import Mounter

__all__ = ["mounter"]


def test_whether_we_may_is_tried_and_leaves_nothing(mounter: Mounter, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    assert mounted_below(tmp_path) == []


def test_an_ordinary_user_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Mounter, "tmpfs", refused)
    assert Mounter.of_this_machine(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_memory_has_a_size_and_is_found_mounted(mounter: Mounter, tmp_path: Path) -> None:
    place = tmp_path / "with space"
    place.mkdir()
    assert not mounter.is_mounted(place)
    assert not mounter.is_mounted(tmp_path / "none")
    mounter.tmpfs(place, size=1 << 20)
    assert mounter.is_mounted(place)
    found = os.statvfs(place)
    assert found.f_blocks * found.f_frsize == 1 << 20
    assert place.stat().st_mode & 0o7777 == 0o1777


def test_what_must_not_be_swapped_is_mounted_so_where_the_kernel_can(
    mounter: Mounter, tmp_path: Path
) -> None:
    place = tmp_path / "v"
    place.mkdir()
    mounter.tmpfs(place, swapped=False)
    assert mounter.is_mounted(place)
    release = tuple(int(n) for n in os.uname().release.split(".")[:2])
    options = next(m for m in Path("/proc/self/mounts").read_text().splitlines() if str(place) in m)
    assert ("noswap" in options) == (release >= (6, 4))


def test_what_is_open_is_bound_whatever_became_of_its_name(
    mounter: Mounter, tmp_path: Path
) -> None:
    folder, target = tmp_path / "folder", tmp_path / "target"
    folder.mkdir()
    target.mkdir()
    (folder / "file").write_text("1")
    held = os.open(folder, os.O_PATH)
    folder.rename(tmp_path / "moved")
    mounter.bind(held, target)
    os.close(held)
    assert (target / "file").read_text() == "1"


def test_what_is_shared_passes_mounts_on(mounter: Mounter, tmp_path: Path) -> None:
    place, twin = tmp_path / "place", tmp_path / "twin"
    place.mkdir()
    twin.mkdir()
    mounter.share(place)
    mounter.share(place)
    assert mounted_below(tmp_path) == ["place"]
    held = os.open(place, os.O_PATH)
    mounter.bind(held, twin)
    os.close(held)
    (place / "inner").mkdir()
    mounter.tmpfs(place / "inner")
    assert mounter.is_mounted(twin / "inner")


def test_everything_below_is_unmounted_and_what_was_bound_is_not_touched(
    mounter: Mounter, tmp_path: Path
) -> None:
    keep, pod = tmp_path / "keep", tmp_path / "a pod"
    keep.mkdir()
    (keep / "file").write_text("1")
    for name in ("bound", "twice", "nested/inner"):
        (pod / name).mkdir(parents=True)
    beside = tmp_path / "a pod of another"
    beside.mkdir()
    mounter.tmpfs(beside)
    held = os.open(keep, os.O_PATH)
    mounter.bind(held, pod / "bound")
    os.close(held)
    mounter.tmpfs(pod / "twice")
    mounter.tmpfs(pod / "twice")
    mounter.tmpfs(pod / "nested")
    (pod / "nested/inner").mkdir()
    mounter.tmpfs(pod / "nested/inner")
    mounter.unmount_below(pod)
    assert mounted_below(tmp_path) == ["a\\040pod\\040of\\040another"]
    assert list((pod / "bound").iterdir()) == []
    assert (keep / "file").read_text() == "1"
    mounter.unmount_below(pod)


def test_who_stands_in_it_keeps_nobody_back(mounter: Mounter, tmp_path: Path) -> None:
    place = tmp_path / "v"
    place.mkdir()
    mounter.tmpfs(place)
    with subprocess.Popen(["sleep", "60"], cwd=place) as sleeper:
        mounter.unmount_below(place)
        assert mounted_below(tmp_path) == []
        sleeper.kill()


def test_what_stays_mounted_is_told(
    mounter: Mounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "v"
    place.mkdir()
    mounter.tmpfs(place)
    with monkeypatch.context() as patch:
        patch.setattr(volume_mounter, "_unmount", lambda point: False)
        with pytest.raises(OSError, match="v"):
            mounter.unmount_below(tmp_path)
    assert mounter.is_mounted(place)


def test_what_cannot_be_mounted_says_why(mounter: Mounter, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mounter.tmpfs(tmp_path / "none")
