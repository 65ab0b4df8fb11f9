"""What an API server is told to do: small, in the right order, and to the Pod as it came (rows W)."""

from typing import Any

from tests.admission.plugins.pod_preset import shorthand

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import APPLIED_PREFIX, Mode, Result
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.machinery.patch import json_patch

CAL = "podpreset.admission.kubernetes.io~1podpreset-cal"
WHOLE: dict[str, Any] = {"env": ["TZ=UTC"], "from": ["cm:f"], "vol": ["v=empty"], "mnt": ["v:/v"]}


def admitted(pod: dict[str, Any], mode: Mode = "compat", **short: Any) -> Result:
    preset = preset_of(shorthand.preset({"n": "cal", **short}))
    result = admit(pod, [preset], namespace="edge", mode=mode)
    assert json_patch(pod, list(result.patch)) == result.pod
    return result


def paths(result: Result) -> list[tuple[str, str]]:
    return [(operation["op"], operation["path"]) for operation in result.patch]


def test_w01_there_is_no_patch_where_nothing_matches() -> None:
    result = admitted(shorthand.pod({}), sel={"tier": "db"}, env=["A=1"])
    assert (result.patch, result.untouched) == ((), True)


def test_w02_parents_that_are_missing_come_with_what_goes_into_them() -> None:
    assert sorted(paths(admitted(shorthand.pod({}), **WHOLE))) == [
        ("add", "/metadata/annotations"),
        ("add", "/spec/containers/0/env"),
        ("add", "/spec/containers/0/envFrom"),
        ("add", "/spec/containers/0/volumeMounts"),
        ("add", "/spec/volumes"),
    ]  # fmt: skip


def test_w02_parents_that_are_null_too() -> None:
    pod = shorthand.pod({"ann": None, "c": [{"env": None, "mnt": None}], "vol": None})
    found = paths(admitted(pod, **WHOLE))
    assert ("add", "/metadata/annotations") in found
    assert ("add", "/spec/volumes") in found
    assert {op for op, _ in found} == {"add"}


def test_w02_a_pod_without_metadata_or_spec_gets_them() -> None:
    result = admitted({"apiVersion": "v1", "kind": "Pod"}, sel={}, vol=["v=empty"])
    assert sorted(paths(result)) == [("add", "/metadata"), ("add", "/spec")]


def test_w03_what_the_server_filled_in_is_no_reason_for_a_patch() -> None:
    annotations = {f"{APPLIED_PREFIX}cal": "70"}
    pod = shorthand.pod({"vol": ["crt=sec:crt,mode=420"], "ann": annotations})
    assert admitted(pod, vol=["crt=sec:crt"]).patch == ()


def test_w04_the_namespace_is_the_requests() -> None:
    pod = shorthand.pod({"ns": None})
    del pod["metadata"]["name"]
    pod["metadata"]["generateName"] = "web-"
    assert admitted(pod, env=["A=1"]).applied


def test_w08_keys_are_escaped_and_lists_grow_at_their_end() -> None:
    pod = shorthand.pod({"ann": {"mine": "x"}, "c": [{"env": ["A=1"]}, {}], "vol": ["w=empty"]})
    assert paths(admitted(pod, env=["B=1", "C=1"], vol=["v=empty"])) == [
        ("add", f"/metadata/annotations/{CAL}"),
        ("add", "/spec/containers/0/env/-"),
        ("add", "/spec/containers/0/env/-"),
        ("add", "/spec/containers/1/env"),
        ("add", "/spec/volumes/-"),
    ]  # fmt: skip


def test_an_empty_list_is_a_parent() -> None:
    pod = shorthand.pod({"c": [{"env": []}]})
    assert ("add", "/spec/containers/0/env/-") in paths(admitted(pod, env=["B=1"]))


def test_the_list_that_1_19_loses_is_removed() -> None:
    pod = shorthand.pod({"c": [{"from": ["cm:f"]}]})
    short: dict[str, Any] = {"from": ["cm:f?"]}
    result = admitted(pod, "compat", **short)
    assert ("remove", "/spec/containers/0/envFrom") in paths(result)
    (decision,) = result.decisions
    assert (decision.action, decision.reason) == ("skipped", "erased")


def test_containers_that_are_put_in_front_move_the_others() -> None:
    injected = {
        "initContainers": [{"container": {"name": "first", "image": "i"}}],
        "env": [{"name": "A", "value": "1"}],
    }
    preset = preset_of(shorthand.preset({"n": "ops", "kind": "podward", "spec": injected}))
    pod = shorthand.pod({"i": [{"n": "prep", "env": ["B=1"]}]})
    result = admit(pod, [preset], namespace="edge")
    assert json_patch(pod, list(result.patch)) == result.pod
    assert [c["name"] for c in result.pod["spec"]["initContainers"]] == ["first", "prep"]
    assert ("add", "/spec/initContainers/0") in paths(result)
    assert ("add", "/spec/initContainers/1/env/-") in paths(result)
