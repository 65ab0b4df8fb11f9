"""A Pod's volumes on disk: what a running Pod's refresh may touch, and what containers get to mount."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1
from tests.kubelet.mounting import mounted_below, mounter

from podward.kubelet.environment import ConfigError
from podward.kubelet.runtime.base import Mount
from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_plan import Facts, Objects, SourceUnreachable, TokenWish
from podward.kubelet.volumes import Outcome, Volumes, asks_for_recursion

__all__ = ["mounter"]

FACTS = Facts("10.0.0.2", "10.0.0.1", {})


def pod(*volumes: dict[str, Any]) -> core_v1.Pod:
    converted = [msgspec.convert(v, core_v1.Volume) for v in volumes]
    all_of_them = [core_v1.VolumeMount(name=v.name, mountPath=f"/{v.name}") for v in converted]
    container = core_v1.Container(name="c", volumeMounts=all_of_them)
    spec = core_v1.PodSpec(containers=[container], volumes=converted)
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
        whole, container, outcome.places, {"PART": "a", "ROOT": "/etc", "NO": ""}, recursive=False
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
        "not a file",
        'MountVolume.SetUp failed for volume "claim" : persistentVolumeClaim is not served here: Podward has '
        "no PersistentVolumes to bind a claim to; emptyDir, hostPath, configMap, secret, downwardAPI and "
        "projected volumes are served",
        'MountVolume.SetUp failed for volume "odd" : file exists',
    ]
    assert outcome.places.keys() == {"cm"}
    assert (outcome.places["cm"] / "a").read_text() == "1"


def test_what_no_container_mounts_is_left_alone(tmp_path: Path) -> None:
    whole = pod(MAP, {"name": "claim", "persistentVolumeClaim": {"claimName": "x"}})
    assert whole.spec is not None
    whole.spec.containers[0].volumeMounts = [core_v1.VolumeMount(name="cm", mountPath="/cm")]
    outcome = Volumes(tmp_path, None).set_up(whole, holding(a="1"), FACTS)
    assert outcome.places.keys() == {"cm"}
    assert outcome.failures == []
    late = core_v1.EphemeralContainer(name="e", volumeMounts=[
        core_v1.VolumeMount(name="claim", mountPath="/x")])  # fmt: skip
    whole.spec.ephemeralContainers = [late]
    assert len(Volumes(tmp_path, None).set_up(whole, holding(a="1"), FACTS).failures) == 1


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
    for part, why in (
        ({"subPath": "../y"}, r"unable to provision SubPath `../y`: must not contain '..'"),
        ({"subPathExpr": "$(ROOT)"}, "error SubPath `/etc` must not be an absolute path"),
        ({"subPathExpr": "$(PART)/$(NO)$(NONE)"}, "missing value for NO, NONE"),
    ):
        with pytest.raises(ConfigError, match=why):
            mounts(tmp_path, whole, outcome, {"name": "cm", "mountPath": "/x", **part})


# ---- as root


def as_root(root: Path, mounter: Mounter, whole: core_v1.Pod, **data: str) -> Outcome:
    outcome = Volumes(root, mounter).set_up(whole, holding(**data), FACTS)
    assert outcome.failures == []
    return outcome


SECRET = {"name": "se", "secret": {"secretName": "se", "defaultMode": 0o400}}


def owned(*volumes: dict[str, Any], **security: Any) -> core_v1.Pod:
    whole = pod(*volumes)
    assert whole.spec is not None
    whole.spec.securityContext = core_v1.PodSecurityContext(**security)
    return whole


def secret_and_map(kind: str, name: str) -> core_v1.ConfigMap | core_v1.Secret | None:
    if kind == "secret":
        return core_v1.Secret(data={"pw": "aHVzaA=="})
    return core_v1.ConfigMap(data={"a": "1"})


def test_what_may_be_secret_lies_in_memory_and_is_gone_with_the_pod(
    tmp_path: Path, mounter: Mounter
) -> None:
    down = {"name": "down", "downwardAPI": {"items": [
        {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}  # fmt: skip
    part = {"name": "all", "projected": {"sources": [{"secret": {"name": "se"}}]}}
    volumes, whole = Volumes(tmp_path, mounter), pod(SECRET, MAP, down, part)
    outcome = volumes.set_up(whole, secret_and_map, FACTS)
    assert outcome.failures == []
    assert sorted(mounted_below(tmp_path)) == ["volumes/all", "volumes/down", "volumes/se"]
    assert (outcome.places["se"] / "pw").read_text() == "hush"
    volumes.set_up(whole, secret_and_map, FACTS)
    assert len(mounted_below(tmp_path)) == 3
    volumes.tear_down()
    volumes.tear_down()
    assert mounted_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_mounted_already_stay_where_they_are(
    tmp_path: Path, mounter: Mounter
) -> None:
    whole = pod(SECRET)
    Volumes(tmp_path, None).set_up(whole, secret_and_map, FACTS)
    as_before = (tmp_path / "volumes/se").stat().st_ino
    outcome = Volumes(tmp_path, mounter).set_up(whole, secret_and_map, FACTS)
    assert outcome.places["se"].stat().st_ino == as_before
    assert mounted_below(tmp_path) == []


def test_the_pods_group_reads_its_files(tmp_path: Path, mounter: Mounter) -> None:
    whole = owned(SECRET, MAP, EMPTY, fsGroup=4321)
    outcome = Volumes(tmp_path, mounter).set_up(whole, secret_and_map, FACTS)
    for place, mode in ((outcome.places["se"] / "pw", 0o440), (outcome.places["cm"] / "a", 0o644)):
        assert (place.stat().st_gid, place.stat().st_mode & 0o777) == (4321, mode)
        assert place.resolve().parent.stat().st_gid == 4321
        assert place.resolve().parent.stat().st_mode & 0o7777 == 0o2755
    for place in outcome.places.values():
        assert place.stat().st_gid == 4321
        assert place.stat().st_mode & 0o2000
    before = (outcome.places["se"] / "..data").readlink()
    Volumes(tmp_path, mounter).set_up(whole, secret_and_map, FACTS)
    assert (outcome.places["se"] / "..data").readlink() == before


def test_without_a_mounter_nothing_is_given_away(tmp_path: Path) -> None:
    outcome = Volumes(tmp_path, None).set_up(
        owned(SECRET, EMPTY, fsGroup=4321, runAsUser=7), secret_and_map, FACTS
    )
    assert {place.stat().st_gid for place in outcome.places.values()} == {os.getgid()}
    assert (outcome.places["se"] / "pw").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    ("security", "mode", "owner"),
    [
        ({}, 0o644, (0, 0)),
        ({"runAsUser": 77}, 0o600, (77, 0)),
        ({"fsGroup": 4321}, 0o640, (0, 4321)),
        ({"runAsUser": 77, "fsGroup": 4321}, 0o640, (77, 4321)),
    ],
    ids=["nobody in particular", "its user", "its group", "both"],
)
def test_whose_a_token_is(
    tmp_path: Path, mounter: Mounter, security: dict[str, int], mode: int, owner: tuple[int, int]
) -> None:
    token = {"serviceAccountToken": {"path": "token", "audience": "vault"}}
    whole = owned({"name": "t", "projected": {"sources": [token]}}, **security)
    facts = dataclasses.replace(FACTS, tokens={TokenWish("vault", 3600): "abc"})
    outcome = Volumes(tmp_path, mounter).set_up(whole, secret_and_map, facts)
    assert outcome.failures == []
    file = (outcome.places["t"] / "token").resolve()
    assert file.read_text() == "abc"
    assert file.stat().st_mode & 0o777 == mode
    assert (file.stat().st_uid, file.stat().st_gid) == owner


def test_a_part_is_bound_and_stays_what_it_was(tmp_path: Path, mounter: Mounter) -> None:
    whole = pod(MAP, EMPTY)
    volumes = Volumes(tmp_path, mounter)
    outcome = as_root(tmp_path, mounter, whole, a="1")
    container = core_v1.Container(name="c", volumeMounts=[
        core_v1.VolumeMount(name="cm", mountPath="/a", subPath="a"),
        core_v1.VolumeMount(name="empty", mountPath="/b", subPath="new/one"),
        core_v1.VolumeMount(name="cm", mountPath="/c", subPath="none"),
    ])  # fmt: skip

    def again() -> list[Path]:
        made = volumes.mounts(whole, container, outcome.places, {}, recursive=False)
        return [Path(mount.host_path) for mount in made]

    file, folder, nothing = again()
    spots = ["volume-subpaths/cm/c/0", "volume-subpaths/empty/c/1"]
    assert mounted_below(tmp_path) == spots
    volumes.set_up(whole, holding(a="2"), FACTS, running=True)
    assert file.read_text() == "1"
    (folder / "x").touch()
    assert (outcome.places["empty"] / "new/one/x").exists()
    assert list(nothing.iterdir()) == []
    assert again()[0].read_text() == "2"
    assert mounted_below(tmp_path) == spots
    volumes.tear_down()
    assert mounted_below(tmp_path) == []


def test_a_part_that_leads_away_is_not_mounted(tmp_path: Path, mounter: Mounter) -> None:
    for one in (None, mounter):
        root = tmp_path / str(one is None)
        whole = pod(EMPTY)
        outcome = Volumes(root, one).set_up(whole, holding(), FACTS)
        (outcome.places["empty"] / "out").symlink_to("/etc")
        container = core_v1.Container(
            name="c",
            volumeMounts=[core_v1.VolumeMount(name="empty", mountPath="/x", subPath="out/passwd")],
        )
        why = 'failed to prepare subPath for volumeMount "empty" of container "c"'
        with pytest.raises(ConfigError, match=why):
            Volumes(root, one).mounts(whole, container, outcome.places, {}, recursive=False)


def test_what_passes_mounts_on_is_shared_before_any_container_begins(
    tmp_path: Path, mounter: Mounter
) -> None:
    whole = pod(EMPTY, {"name": "alone", "emptyDir": {}})
    assert whole.spec is not None
    whole.spec.containers[0].volumeMounts = [
        core_v1.VolumeMount(name="empty", mountPath="/x", mountPropagation="Bidirectional"),
        core_v1.VolumeMount(name="alone", mountPath="/y", mountPropagation="None"),
    ]
    outcome = as_root(tmp_path, mounter, whole)
    assert mounted_below(tmp_path) == ["volumes/empty"]
    made = Volumes(tmp_path, mounter).mounts(
        whole, whole.spec.containers[0], outcome.places, {}, recursive=False
    )
    assert [mount.propagation for mount in made] == ["Bidirectional", "None"]
    inner = outcome.places["empty"] / "inner"
    inner.mkdir()
    mounter.tmpfs(inner)
    (inner / "kept").touch()
    Volumes(tmp_path, mounter).tear_down()
    assert list(tmp_path.iterdir()) == []


# ---- read-only below too


@pytest.mark.parametrize(
    ("mount", "able", "recursive"),
    [
        ({"readOnly": True}, True, False),
        ({"readOnly": True, "recursiveReadOnly": "Disabled"}, True, False),
        ({"readOnly": True, "recursiveReadOnly": "IfPossible"}, True, True),
        ({"readOnly": True, "recursiveReadOnly": "IfPossible"}, False, False),
        ({"readOnly": True, "recursiveReadOnly": "Enabled"}, True, True),
    ],
    ids=["not asked for", "disabled", "possible", "impossible", "enabled"],
)
def test_read_only_with_all_that_is_below(
    tmp_path: Path, mount: dict[str, Any], able: bool, recursive: bool
) -> None:
    (made,) = _recursive(tmp_path, mount, able)
    assert made.recursive_read_only == recursive


def _recursive(tmp_path: Path, mount: dict[str, Any], able: bool) -> list[Mount]:
    whole = pod(EMPTY)
    outcome = Volumes(tmp_path, None).set_up(whole, holding(), FACTS)
    converted = msgspec.convert({"name": "empty", "mountPath": "/x", **mount}, core_v1.VolumeMount)
    container = core_v1.Container(name="c", volumeMounts=[converted])
    asked = mount.get("recursiveReadOnly", "Disabled") != "Disabled"
    assert asks_for_recursion(container) == asked
    volumes = Volumes(tmp_path, None)
    return volumes.mounts(whole, container, outcome.places, {}, recursive=able)


@pytest.mark.parametrize(
    ("mount", "able", "why"),
    [
        ({"readOnly": True, "recursiveReadOnly": "Enabled"}, False, "supported by the runtime"),
        ({"recursiveReadOnly": "IfPossible"}, True, "read-only"),
        (
            {"readOnly": True, "recursiveReadOnly": "IfPossible", "mountPropagation": "HostToContainer"},
            True,
            'compatible with propagation "HostToContainer"',
        ),
    ],
    ids=["unable", "written", "shared"],
)  # fmt: skip
def test_why_what_is_below_cannot_be_read_only(
    tmp_path: Path, mount: dict[str, Any], able: bool, why: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        _recursive(tmp_path, mount, able)
    assert str(raised.value) == (
        'failed to resolve recursive read-only mode: volume "empty" requested recursive read-only mode, '
        f"but it is not {why}"
    )
