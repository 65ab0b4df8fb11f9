"""A Pod's volumes on disk: what a running Pod's refresh may touch, and what containers get to mount."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1

from podward.kubelet.environment import ConfigError
from podward.kubelet.volume_plan import Facts, Objects, SourceUnreachable, VolumeError
from podward.kubelet.volumes import Outcome, Volumes

FACTS = Facts("10.0.0.2", "10.0.0.1", {})


def pod(*volumes: dict[str, Any]) -> core_v1.Pod:
    converted = [msgspec.convert(v, core_v1.Volume) for v in volumes]
    spec = core_v1.PodSpec(containers=[core_v1.Container(name="c")], volumes=converted)
    return core_v1.Pod(metadata=meta_v1.ObjectMeta(name="p"), spec=spec)


def holding(**data: str) -> Objects:
    return lambda kind, name: core_v1.ConfigMap(data=data) if name == "cm" else None


def mounts(
    root: Path, whole: core_v1.Pod, outcome: Outcome, *wanted: dict[str, Any]
) -> list[tuple[Path, bool]]:
    container = core_v1.Container(
        name="c", volumeMounts=[msgspec.convert(m, core_v1.VolumeMount) for m in wanted]
    )
    made = Volumes(root, None).mounts(
        whole, container, outcome.places, {"PART": "a"}, recursive=False
    )
    return [(Path(mount.host_path), mount.read_only) for mount in made]


MAP = {"name": "cm", "configMap": {"name": "cm"}}
EMPTY: dict[str, Any] = {"name": "empty", "emptyDir": {}}


def test_one_volume_that_fails_keeps_no_other_back(tmp_path: Path) -> None:
    whole = pod(
        {"name": "gone", "configMap": {"name": "none"}},
        {"name": "disk", "hostPath": {"path": str(tmp_path / "no"), "type": "File"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "x"}},
        {"name": "odd", "configMap": {"name": "cm", "items": [
            {"key": "a", "path": "x"}, {"key": "a", "path": "x/y"}]}},
        MAP,
    )  # fmt: skip
    outcome = Volumes(tmp_path, None).set_up(whole, holding(a="1"), FACTS)
    assert [str(failure) for failure in outcome.failures] == [
        'MountVolume.SetUp failed for volume "gone" : configmap "none" not found',
        f'MountVolume.SetUp failed for volume "disk" : hostPath type check failed: {tmp_path}/no is '
        "not a File",
        'MountVolume.SetUp failed for volume "claim" : its kind of source is not served here',
        'MountVolume.SetUp failed for volume "odd" : file exists',
    ]
    assert outcome.places.keys() == {"cm"}
    assert (outcome.places["cm"] / "a").read_text() == "1"


def test_who_could_not_be_asked_is_told_apart(tmp_path: Path) -> None:
    def away(kind: str, name: str) -> None:
        raise SourceUnreachable("nobody answers")

    (failure,) = Volumes(tmp_path, None).set_up(pod(MAP), away, FACTS).failures
    assert isinstance(failure, SourceUnreachable)
    assert str(failure) == 'MountVolume.SetUp failed for volume "cm" : nobody answers'


def test_a_refresh_leaves_what_is_not_made_of_files(tmp_path: Path) -> None:
    host = {"name": "host", "hostPath": {"path": str(tmp_path / "host")}}
    volumes, whole = Volumes(tmp_path, None), pod(MAP, EMPTY, host)
    outcome = volumes.set_up(whole, holding(a="1"), FACTS)
    outcome.places["empty"].chmod(0o700)
    outcome.places["host"].rmdir()
    assert volumes.set_up(whole, holding(a="2"), FACTS, running=True).places.keys() == {"cm"}
    assert (outcome.places["cm"] / "a").read_text() == "2"
    assert outcome.places["empty"].stat().st_mode & 0o777 == 0o700
    assert not outcome.places["host"].exists()


def test_what_is_made_of_files_is_read_only(tmp_path: Path) -> None:
    whole = pod(MAP, EMPTY)
    outcome = Volumes(tmp_path, None).set_up(whole, holding(a="1"), FACTS)
    found = mounts(
        tmp_path, whole, outcome,
        {"name": "cm", "mountPath": "/a"}, {"name": "cm", "mountPath": "/b", "subPath": "a"},
        {"name": "empty", "mountPath": "/c"}, {"name": "empty", "mountPath": "/d", "readOnly": True},
    )  # fmt: skip
    assert [read_only for _, read_only in found] == [True, True, False, True]


@pytest.mark.parametrize(
    "part", [{"subPath": "a"}, {"subPathExpr": "$(PART)"}, {"subPath": "./a"}], ids=str
)
def test_a_file_of_a_volume_stays_what_it_was_when_the_container_began(
    tmp_path: Path, part: dict[str, str]
) -> None:
    volumes, whole = Volumes(tmp_path, None), pod(MAP)
    mount = {"name": "cm", "mountPath": "/x", **part}
    outcome = volumes.set_up(whole, holding(a="1"), FACTS)
    ((place, _),) = mounts(tmp_path, whole, outcome, mount)
    for text in ("2", "3"):
        volumes.set_up(whole, holding(a=text), FACTS, running=True)
        assert place.read_text() == "1"
    ((place, _),) = mounts(tmp_path, whole, outcome, mount)
    assert place.read_text() == "3"


def test_so_does_a_directory_of_it(tmp_path: Path) -> None:
    items = [{"key": "a", "path": "sub/deep/a"}]
    volumes = Volumes(tmp_path, None)
    whole = pod({"name": "cm", "configMap": {"name": "cm", "items": items}})
    outcome = volumes.set_up(whole, holding(a="1"), FACTS)
    mount = {"name": "cm", "mountPath": "/x", "subPath": "sub"}
    for _ in range(2):
        ((place, _),) = mounts(tmp_path, whole, outcome, mount)
    volumes.set_up(whole, holding(a="2"), FACTS, running=True)
    assert (place / "deep/a").read_text() == "1"


def test_a_part_that_is_not_there_is_an_empty_directory(tmp_path: Path) -> None:
    volumes, whole = Volumes(tmp_path, None), pod(MAP, EMPTY)
    outcome = volumes.set_up(whole, holding(a="1"), FACTS)
    wanted = [{"name": name, "mountPath": f"/{name}", "subPath": "x/y"} for name in ("cm", "empty")]
    for place, _ in mounts(tmp_path, whole, outcome, *wanted):
        assert list(place.iterdir()) == []
    volumes.set_up(whole, holding(x="2"), FACTS, running=True)
    assert (outcome.places["cm"] / "x").read_text() == "2"


def test_what_cannot_be_mounted(tmp_path: Path) -> None:
    whole = pod(MAP)
    outcome = Volumes(tmp_path, None).set_up(whole, holding(a="1"), FACTS)
    with pytest.raises(ConfigError, match='cannot find volume "none" to mount into container'):
        mounts(tmp_path, whole, outcome, {"name": "none", "mountPath": "/x"})
    with pytest.raises(VolumeError, match="must be a relative path"):
        mounts(tmp_path, whole, outcome, {"name": "cm", "mountPath": "/x", "subPath": "../y"})
