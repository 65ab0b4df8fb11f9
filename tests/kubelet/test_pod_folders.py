"""A Pod's folder is removed with all that is mounted in it, and never through a mount."""

import os
from pathlib import Path
from typing import Any, cast

from lightkube.models import core_v1, meta_v1
from tests.kubelet.mounting import mounted_below, mounter

from podward.kubelet.container_start import ContainerStarter
from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_tokens import Tokens
from podward.machinery.clock import SystemClock
from podward.machinery.entropy import Entropy

__all__ = ["mounter"]


def starter(root: Path, mounter: Mounter | None) -> ContainerStarter:
    nobody = cast(Any, None)  # what removes folders talks to nobody
    return ContainerStarter(
        nobody, nobody, Entropy(1), nobody, nobody, root=root, node_ip="10.0.0.1", capacity={},
        mounter=mounter, tokens=Tokens(nobody, SystemClock(), Entropy(1)), api_access=nobody,
    )  # fmt: skip


def pod(uid: str) -> core_v1.Pod:
    return core_v1.Pod(metadata=meta_v1.ObjectMeta(name=uid, namespace="ns", uid=uid))


def bound(mounter: Mounter, source: Path, place: Path) -> None:
    source.mkdir(exist_ok=True)
    (source / "precious").touch()
    place.mkdir(parents=True)
    held = os.open(source, os.O_PATH)
    mounter.bind(held, place)
    os.close(held)


def test_what_was_mounted_in_it_is_not_removed_with_it(mounter: Mounter, tmp_path: Path) -> None:
    bound(mounter, tmp_path / "elsewhere", tmp_path / "pods/u/volumes/v")
    starter(tmp_path, mounter).remove_pod(pod("u"))
    assert list((tmp_path / "pods").iterdir()) == []
    assert (tmp_path / "elsewhere/precious").exists()


def test_what_cannot_be_unmounted_is_left(mounter: Mounter, tmp_path: Path) -> None:
    class Stuck(Mounter):
        def unmount_below(self, folder: Path) -> None:
            raise PermissionError(1, "no", str(folder))

    bound(mounter, tmp_path / "elsewhere", tmp_path / "pods/u/volumes/v")
    for remove in (
        starter(tmp_path, Stuck()).remove_pod,
        starter(tmp_path, Stuck()).tear_down_volumes,
    ):
        remove(pod("u"))
        assert (tmp_path / "elsewhere/precious").exists()
    assert mounted_below(tmp_path) == ["pods/u/volumes/v"]


def test_where_nothing_is_there_nothing_is_removed(tmp_path: Path) -> None:
    for one in (starter(tmp_path, None), starter(tmp_path / "none", None)):
        one.remove_pod(pod("u"))
        one.unmount_all()
    assert list(tmp_path.iterdir()) == []


def test_whoever_goes_for_good_leaves_nothing_mounted(mounter: Mounter, tmp_path: Path) -> None:
    bound(mounter, tmp_path / "elsewhere", tmp_path / "pods/u/volumes/v")
    starter(tmp_path, mounter).unmount_all()
    assert mounted_below(tmp_path) == []
    assert (tmp_path / "pods/u/volumes/v").is_dir()
