"""Pods that name a runtime class: what it gives them, and what is refused."""

from collections.abc import Sequence
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1, node_v1
from tests.admission.test_plugins import pod, request

from podward.admission.plugins.runtime_class import RuntimeClass
from podward.api.errors import ApiStatusError
from podward.simulate.virtual_loop import run

TOLERATION = core_v1.Toleration(key="kata", operator="Exists")


class Stored:
    """One class, called `kata`."""

    def __init__(self, kata: node_v1.RuntimeClass) -> None:
        self.kata = kata

    async def get(self, kind: type[Any], name: str, namespace: str = "") -> Any:
        return self.kata if (kind, name) == (node_v1.RuntimeClass, "kata") else None

    async def list(self, kind: type[Any], namespace: str = "") -> Sequence[Any]:
        return ()

    def version(self, kind: type[Any]) -> int:
        return 0


def admitted(spec: dict[str, Any], **fields: Any) -> core_v1.PodSpec:
    kata = node_v1.RuntimeClass("kata", metadata=meta_v1.ObjectMeta(name="kata"), **fields)
    asked = request(pod(**spec))
    asked.objects = Stored(kata)
    asked.object = run(RuntimeClass().mutate(asked))
    run(RuntimeClass().validate(asked))
    found = asked.object.spec
    assert isinstance(found, core_v1.PodSpec)
    return found


def refused(spec: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(ApiStatusError) as error:
        admitted(spec, **fields)
    assert error.value.status.code == 403
    return error.value.status.message or ""


def test_what_the_class_costs_and_where_it_is_are_the_pods() -> None:
    found = admitted(
        {"runtimeClassName": "kata", "nodeSelector": {"a": "b"}, "tolerations": [TOLERATION]},
        overhead=node_v1.Overhead({"cpu": "250m"}),
        scheduling=node_v1.Scheduling(
            nodeSelector={"vm": "yes", "a": "b"},
            tolerations=[TOLERATION, core_v1.Toleration(key="slow")],
        ),
    )
    assert found.overhead == {"cpu": "250m"}
    assert found.nodeSelector == {"a": "b", "vm": "yes"}
    assert [one.key for one in found.tolerations or ()] == ["kata", "slow"]


def test_a_pod_without_a_class_is_left_alone() -> None:
    assert admitted({}).overhead is None
    assert admitted({"runtimeClassName": "kata"}).nodeSelector is None


def test_a_class_that_is_not_there() -> None:
    assert refused({"runtimeClassName": "gvisor"}) == (
        'pods "web" is forbidden: pod rejected: RuntimeClass "gvisor" not found'
    )


def test_an_overhead_is_the_classs_own() -> None:
    overhead = node_v1.Overhead({"cpu": "250m"})
    same = {"runtimeClassName": "kata", "overhead": {"cpu": "0.25"}}
    assert admitted(same, overhead=overhead).overhead == {"cpu": "250m"}
    other = {"runtimeClassName": "kata", "overhead": {"cpu": "1"}}
    assert "Pod's Overhead doesn't match RuntimeClass's defined Overhead" in refused(
        other, overhead=overhead
    )
    text = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    assert text in refused(other)
    assert text in refused({"overhead": {"cpu": "1"}})


def test_a_node_cannot_be_two_things() -> None:
    spec = {"runtimeClassName": "kata", "nodeSelector": {"vm": "no"}}
    assert (
        "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no"
        in (refused(spec, scheduling=node_v1.Scheduling(nodeSelector={"vm": "yes"})))
    )
