"""How a clash is told: who, what, where; and no value."""

from typing import Any

import pytest
from tests.admission.plugins.pod_preset import shorthand

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import Conflict, Mode
from podward.admission.plugins.pod_preset.normalise import fingerprint
from podward.admission.plugins.pod_preset.parse import preset_of

BOTH: tuple[Mode, ...] = ("compat", "safe")


def clash(pod: dict[str, Any], *presets: dict[str, Any], mode: Mode) -> Conflict:
    found = [preset_of(shorthand.preset(short)) for short in presets]
    (conflict,) = admit(shorthand.pod(pod), found, namespace="edge", mode=mode).conflicts
    return conflict


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(
    ("pod", "preset", "message", "path"),
    [
        ({"c": [{}, {"n": "side", "env": ["A=1", "LVL=debug"]}]}, {"env": ["LVL=warn"]},
         "env LVL in container side", "/spec/containers/1/env/1"),
        ({"i": [{"n": "prep", "env": ["LVL=debug"]}]}, {"env": ["LVL=warn"]},
         "env LVL in container prep", "/spec/initContainers/0/env/0"),
        ({"vol": ["a=empty", "v=empty"]}, {"vol": ["v=cm:x"]}, "volumes v", "/spec/volumes/1"),
        ({"vol": ["w=empty"], "c": [{"mnt": ["w:/v"]}]}, {"vol": ["v=empty"], "mnt": ["v:/v"]},
         "volumeMounts /v in container app", "/spec/containers/0/volumeMounts/0"),
    ],
    ids=["a container", "an init container", "a volume", "a mount"],
)  # fmt: skip
def test_of_the_pod(
    pod: dict[str, Any], preset: dict[str, Any], message: str, path: str, mode: Mode
) -> None:
    found = clash(pod, {"n": "cal", **preset}, mode=mode)
    assert found.message == f"podpreset/cal wants another value of {message} than the Pod has"
    assert (found.presets, found.path, found.outcome) == (("podpreset/cal",), path, "SkipAll")
    assert found.pod_hash != found.preset_hash


@pytest.mark.parametrize("mode", BOTH)
def test_of_two_presets(mode: Mode) -> None:
    found = clash({}, {"n": "cal", "env": ["TZ=UTC"]}, {"n": "reg", "env": ["TZ=CET"]}, mode=mode)
    assert found.presets == ("podpreset/reg", "podpreset/cal")
    assert (
        found.message
        == "podpreset/reg wants another value of env TZ in container app than podpreset/cal"
    )
    assert found.path == ""


@pytest.mark.parametrize("mode", BOTH)
def test_of_one_with_itself(mode: Mode) -> None:
    found = clash({}, {"n": "cal", "env": ["TZ=UTC", "TZ=CET"]}, mode=mode)
    assert found.presets == ("podpreset/cal", "podpreset/cal")
    assert found.message == "podpreset/cal contradicts itself about env TZ in container app"


def test_of_a_source_of_variables() -> None:
    found = clash({"c": [{"from": ["P@cm:f"]}]}, {"n": "cal", "from": ["P@cm:f?"]}, mode="safe")
    assert (found.list, found.identity) == ("envFrom", "P@configMap:f")


def test_1_19_knows_a_mount_by_its_volume_too() -> None:
    pod = {"vol": ["v=empty"], "c": [{"mnt": ["v:/a"]}]}
    found = clash(pod, {"n": "cal", "vol": ["v=empty"], "mnt": ["v:/b"]}, mode="compat")
    assert (
        found.message
        == "podpreset/cal wants another value of volumeMounts v in container app than the Pod has"
    )


def test_a_hash_is_of_the_meaning() -> None:
    first = clash({"vol": [{"name": "v"}]}, {"n": "cal", "vol": ["v=cm:x"]}, mode="safe")
    other = clash({"vol": ["v=empty"]}, {"n": "cal", "vol": ["v=cm:x,mode=420"]}, mode="safe")
    assert (first.pod_hash, first.preset_hash) == (other.pod_hash, other.preset_hash)
    assert len(first.pod_hash) == 12
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_the_pointer_is_into_the_pod_as_it_came() -> None:
    first = {"initContainers": [{"container": {"name": "first", "image": "i"}}]}
    spec = {**first, "onConflict": "KeepPod"}
    pod = {"i": [{"n": "prep", "env": ["LVL=debug"]}]}
    found = clash(
        pod, {"n": "ops", "kind": "podward", "env": ["LVL=warn"], "spec": spec}, mode="safe"
    )
    assert found.path == "/spec/initContainers/0/env/0"
