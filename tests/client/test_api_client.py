"""The typed verbs, over a real API server in this process."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import Api, started

from podward.client.api_client import ApiClient
from podward.client.base import ApiError, PatchType
from podward.simulate.virtual_loop import run


def config_map(name: str, namespace: str = "default", **data: str) -> core_v1.ConfigMap:
    meta = meta_v1.ObjectMeta(name=name, namespace=namespace, labels={"app": name})
    return core_v1.ConfigMap(metadata=meta, data=data or None)


def pod(name: str = "web") -> core_v1.Pod:
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name=name, namespace="default"),
        spec=core_v1.PodSpec(containers=[core_v1.Container(name="app", image="busybox")]),
    )


def meta_of(obj: core_v1.ConfigMap | core_v1.Pod) -> meta_v1.ObjectMeta:
    assert obj.metadata is not None
    return obj.metadata


def test_what_was_created_is_read_back_with_what_the_server_gave_it() -> None:
    async def main() -> None:
        api = await started()
        made = await api.client.create(config_map("a", colour="red"))
        assert meta_of(made).uid
        assert meta_of(made).resourceVersion
        assert meta_of(made).creationTimestamp is not None
        assert await api.client.get(core_v1.ConfigMap, "a", "default") == made
        assert made.data == {"colour": "red"}

    run(main())


def test_a_generated_name_is_the_servers() -> None:
    async def main() -> None:
        api = await started()
        meta = meta_v1.ObjectMeta(generateName="job-", namespace="default")
        made = await api.client.create(core_v1.ConfigMap(metadata=meta))
        name = meta_of(made).name or ""
        assert name.startswith("job-")
        assert len(name) == len("job-") + 5

    run(main())


def test_an_update_replaces_and_raises_the_version() -> None:
    async def main() -> None:
        api = await started()
        made = await api.client.create(config_map("a", one="1", two="2"))
        made.data = {"two": "3"}
        updated = await api.client.update(made)
        assert updated.data == {"two": "3"}
        assert meta_of(updated).resourceVersion != meta_of(made).resourceVersion
        assert await api.client.get(core_v1.ConfigMap, "a", "default") == updated

    run(main())


@pytest.mark.parametrize(
    ("patch_type", "patch", "data"),
    [
        ("merge", {"data": {"a": None, "c": "3"}}, {"b": "2", "c": "3"}),
        ("strategic", {"data": {"b": "x"}}, {"a": "1", "b": "x"}),
        ("json", [{"op": "remove", "path": "/data/b"}], {"a": "1"}),
    ],
    ids=["merge", "strategic", "json"],
)
def test_a_patch_is_sent_as_what_it_is(
    patch_type: PatchType, patch: Any, data: dict[str, str]
) -> None:
    async def main() -> None:
        api = await started()
        await api.client.create(config_map("x", a="1", b="2"))
        patched = await api.client.patch(
            core_v1.ConfigMap, "x", patch, namespace="default", patch_type=patch_type
        )
        assert patched.data == data
        assert (await api.client.get(core_v1.ConfigMap, "x", "default")).data == data

    run(main())


def test_the_status_is_written_through_its_own_door() -> None:
    async def main() -> None:
        api = await started()
        made = await api.client.create(pod())
        made.status = core_v1.PodStatus(phase="Running")
        ignored = await api.client.update(made)
        assert ignored.status is not None
        assert ignored.status.phase == "Pending"
        ignored.status.phase = "Running"
        written = await api.client.update(ignored, subresource="status")
        assert written.status is not None
        assert written.status.phase == "Running"

    run(main())


def test_a_binding_gives_a_pod_its_node_once() -> None:
    async def main() -> None:
        api = await started()
        await api.client.create(pod())
        await api.client.bind("web", "default", "node-1")
        bound = await api.client.get(core_v1.Pod, "web", "default")
        assert bound.spec is not None
        assert bound.spec.nodeName == "node-1"
        with pytest.raises(ApiError) as refused:
            await api.client.bind("web", "default", "node-2")
        assert (refused.value.code, refused.value.reason) == (409, "Conflict")

    run(main())


def test_a_deletion_with_no_grace_is_immediate_and_one_with_grace_is_a_mark() -> None:
    async def main() -> None:
        api = await started()
        await api.client.create(pod())
        await api.client.bind("web", "default", "node-1")
        await api.client.delete(core_v1.Pod, "web", "default", grace_period_seconds=7)
        marked = await api.client.get(core_v1.Pod, "web", "default")
        assert meta_of(marked).deletionGracePeriodSeconds == 7
        await api.client.delete(core_v1.Pod, "web", "default", grace_period_seconds=0)
        with pytest.raises(ApiError) as gone:
            await api.client.get(core_v1.Pod, "web", "default")
        assert gone.value.code == 404

    run(main())


def test_only_the_object_that_was_meant_is_deleted() -> None:
    async def main() -> None:
        api = await started()
        made = await api.client.create(config_map("a"))
        with pytest.raises(ApiError) as refused:
            await api.client.delete(core_v1.ConfigMap, "a", "default", uid="another")
        assert (refused.value.code, refused.value.reason) == (409, "Conflict")
        assert await api.client.get(core_v1.ConfigMap, "a", "default") == made
        await api.client.delete(core_v1.ConfigMap, "a", "default", uid=meta_of(made).uid)
        assert (await api.client.list(core_v1.ConfigMap, "default")).items == []

    run(main())


def test_lists_are_of_a_namespace_or_of_all_and_can_be_narrowed() -> None:
    async def names(api: Api, *args: str, **selectors: str) -> list[str]:
        listed = await api.client.list(core_v1.ConfigMap, *args, **selectors)
        assert int(listed.resource_version) > 0
        return sorted(meta_of(item).name or "" for item in listed.items)

    async def main() -> None:
        api = await started()
        for name, namespace in (("a", "default"), ("b", "default"), ("c", "kube-public")):
            await api.client.create(config_map(name, namespace))
        assert await names(api) == ["a", "b", "c"]
        assert await names(api, "default") == ["a", "b"]
        assert await names(api, label_selector="app in (a,c)") == ["a", "c"]
        assert await names(api, field_selector="metadata.name!=a") == ["b", "c"]
        assert await names(api, "kube-system") == []

    run(main())


async def absent(client: ApiClient) -> None:
    await client.get(core_v1.Pod, "none", "default")


async def twice(client: ApiClient) -> None:
    await client.create(config_map("a"))
    await client.create(config_map("a"))


async def stale(client: ApiClient) -> None:
    made = await client.create(config_map("a"))
    await client.patch(core_v1.ConfigMap, "a", {"data": {"k": "v"}}, namespace="default")
    await client.update(made)


async def nameless(client: ApiClient) -> None:
    broken = pod()
    assert broken.spec is not None
    broken.spec.containers[0].name = ""
    await client.create(broken)


@pytest.mark.parametrize(
    ("ask", "code", "reason", "message"),
    [
        (absent, 404, "NotFound", 'pods "none" not found'),
        (twice, 409, "AlreadyExists", 'configmaps "a" already exists'),
        (stale, 409, "Conflict", 'Operation cannot be fulfilled on configmaps "a": the object has been '
         "modified; please apply your changes to the latest version and try again"),
        (nameless, 422, "Invalid", 'Pod "web" is invalid: spec.containers[0].name: Required value'),
    ],
    ids=["absent", "created twice", "updated from a stale copy", "invalid"],
)  # fmt: skip
def test_a_refusal_carries_the_servers_status(
    ask: Callable[[ApiClient], Awaitable[None]], code: int, reason: str, message: str
) -> None:
    async def main() -> None:
        api = await started()
        with pytest.raises(ApiError) as refused:
            await ask(api.client)
        assert (refused.value.code, refused.value.reason) == (code, reason)
        assert str(refused.value) == message
        assert refused.value.status.message == message

    run(main())


def test_what_is_wrong_with_a_field_is_among_the_causes() -> None:
    async def main() -> None:
        api = await started()
        with pytest.raises(ApiError) as refused:
            await nameless(api.client)
        details = refused.value.status.details
        assert details is not None
        assert [(c.field, c.reason) for c in details.causes or []] == [
            ("spec.containers[0].name", "FieldValueRequired")
        ]

    run(main())
