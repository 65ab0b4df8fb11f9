"""What admission makes of a Pod on its way to the store, as the stock plug-ins do."""

from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import started

from podward.admission.base import AdmissionPlugin, AdmissionRequest, Operation
from podward.admission.plugins.default_toleration_seconds import DefaultTolerationSeconds
from podward.admission.plugins.priority import Priority
from podward.admission.plugins.service_account import ServiceAccount
from podward.api.scheme import SCHEME
from podward.simulate.virtual_loop import run

PLUGINS = (Priority, DefaultTolerationSeconds, ServiceAccount)
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def pod(**spec: Any) -> core_v1.Pod:
    container = core_v1.Container(name="app", image="busybox")
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="web", namespace="default"),
        spec=core_v1.PodSpec(containers=[container], **spec),
    )


def request(
    obj: Any, operation: Operation = "CREATE", subresource: str = "", kind: type[Any] = core_v1.Pod
) -> AdmissionRequest:
    return AdmissionRequest(
        operation=operation,
        resource=SCHEME.of_type(kind),
        subresource=subresource,
        namespace="default",
        name="web",
        object=obj,
        old_object=None if operation == "CREATE" else obj,
        user="system:admin",
    )


def admitted(plugin: AdmissionPlugin, obj: core_v1.Pod) -> core_v1.PodSpec:
    changed = run(plugin.mutate(request(obj)))
    assert isinstance(changed, core_v1.Pod)
    assert changed.spec is not None
    return changed.spec


# ---- what none of them touches


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize(
    ("operation", "subresource"),
    [("UPDATE", ""), ("UPDATE", "status"), ("CREATE", "binding"), ("CREATE", "eviction")],
)
def test_only_the_creation_of_a_pod_is_changed(
    plugin: type[AdmissionPlugin], operation: Operation, subresource: str
) -> None:
    given = pod(tolerations=[core_v1.Toleration(key="gpu", operator="Exists")])
    before = msgspec.json.encode(given)
    after = run(plugin().mutate(request(given, operation, subresource)))
    assert msgspec.json.encode(after) == before


@pytest.mark.parametrize("plugin", PLUGINS)
def test_other_kinds_pass(plugin: type[AdmissionPlugin]) -> None:
    given = core_v1.ConfigMap(metadata=meta_v1.ObjectMeta(name="web"), data={"a": "b"})
    after = run(plugin().mutate(request(given, kind=core_v1.ConfigMap)))
    assert after == core_v1.ConfigMap(metadata=meta_v1.ObjectMeta(name="web"), data={"a": "b"})


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_deletion_passes(plugin: type[AdmissionPlugin]) -> None:
    asked = request(None, "DELETE")
    assert run(plugin().mutate(asked)) is None
    run(plugin().validate(asked))


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_object_that_came_is_not_written_to(plugin: type[AdmissionPlugin]) -> None:
    """`mutate` hands back the same object or a changed copy."""
    given = pod()
    before = msgspec.json.encode(given)
    admitted(plugin(), given)
    assert msgspec.json.encode(given) == before


# ---- Priority


@pytest.mark.parametrize(
    "given",
    [{}, {"priority": 0}, {"preemptionPolicy": "PreemptLowerPriority"}],
    ids=["nothing said", "zero said", "the default said"],
)
def test_without_a_priority_class_a_pod_has_priority_zero_and_may_preempt(
    given: dict[str, Any],
) -> None:
    spec = admitted(Priority(), pod(**given))
    assert (spec.priority, spec.preemptionPolicy) == (0, "PreemptLowerPriority")
    assert not spec.priorityClassName


# ---- DefaultTolerationSeconds


def toleration(key: str | None, effect: str | None, **more: Any) -> core_v1.Toleration:
    return core_v1.Toleration(key=key, operator="Exists", effect=effect, **more)


ADDED = {
    key: toleration(key, "NoExecute", tolerationSeconds=300) for key in (NOT_READY, UNREACHABLE)
}


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], [NOT_READY, UNREACHABLE]),
        ([toleration("gpu", "NoSchedule")], [NOT_READY, UNREACHABLE]),
        ([toleration(NOT_READY, "NoExecute", tolerationSeconds=5)], [UNREACHABLE]),
        ([toleration(UNREACHABLE, "NoExecute")], [NOT_READY]),
        ([toleration(NOT_READY, None)], [UNREACHABLE]),
        ([toleration(NOT_READY, "NoSchedule")], [NOT_READY, UNREACHABLE]),
        ([toleration(None, None)], []),
        ([toleration(None, "NoExecute")], []),
        ([toleration("", "")], []),
        ([toleration(None, "NoSchedule")], [NOT_READY, UNREACHABLE]),
        ([toleration(NOT_READY, "NoExecute"), toleration(UNREACHABLE, "NoExecute")], []),
    ],
    ids=["none", "of another taint", "of not-ready, its own time", "of unreachable, for ever",
         "of not-ready, every effect", "of not-ready, another effect", "of everything",
         "of every eviction", "of everything, in empty strings", "of every NoSchedule", "of both"],
)  # fmt: skip
def test_five_minutes_are_tolerated_unless_the_pod_says_otherwise(
    given: list[core_v1.Toleration], added: list[str]
) -> None:
    spec = admitted(DefaultTolerationSeconds(), pod(tolerations=list(given)))
    assert (spec.tolerations or []) == [*given, *(ADDED[key] for key in added)]


# ---- ServiceAccount


def test_a_pod_without_an_account_gets_the_default_one() -> None:
    spec = admitted(ServiceAccount(), pod())
    assert (spec.serviceAccountName, spec.serviceAccount) == ("default", "default")


def test_a_pod_keeps_the_account_it_names() -> None:
    spec = admitted(ServiceAccount(), pod(serviceAccountName="robot", serviceAccount="robot"))
    assert (spec.serviceAccountName, spec.serviceAccount) == ("robot", "robot")


# ---- together, over the API


def test_a_plain_pod_is_stored_with_all_that_admission_adds() -> None:
    async def main() -> None:
        api = await started([plugin() for plugin in PLUGINS])
        await api.client.create(pod())
        spec = (await api.client.get(core_v1.Pod, "web", "default")).spec
        assert spec is not None
        assert (spec.priority, spec.preemptionPolicy) == (0, "PreemptLowerPriority")
        assert spec.tolerations == [ADDED[NOT_READY], ADDED[UNREACHABLE]]
        assert (spec.serviceAccountName, spec.serviceAccount) == ("default", "default")

    run(main())


def test_an_old_style_account_is_the_account() -> None:
    """`serviceAccount` is the deprecated alias of `serviceAccountName`."""

    async def main() -> None:
        api = await started([ServiceAccount()])
        account = core_v1.ServiceAccount(
            metadata=meta_v1.ObjectMeta(name="robot", namespace="default")
        )
        await api.client.create(account)
        made = await api.client.create(pod(serviceAccount="robot"))
        assert made.spec is not None
        assert (made.spec.serviceAccountName, made.spec.serviceAccount) == ("robot", "robot")

    run(main())


def test_a_binding_adds_nothing_to_the_pod_but_its_node() -> None:
    async def main() -> None:
        api = await started([plugin() for plugin in PLUGINS])
        before = (await api.client.create(pod(tolerations=[toleration(None, None)]))).spec
        await api.client.bind("web", "default", "n1")
        after = (await api.client.get(core_v1.Pod, "web", "default")).spec
        assert before is not None
        assert after == msgspec.structs.replace(before, nodeName="n1")

    run(main())
