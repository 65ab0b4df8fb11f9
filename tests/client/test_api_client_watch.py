"""Watches through the client, and answers that are none."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import Api, started

from podward.client.api_client import ApiClient
from podward.client.base import ApiError, RawWatchEvent, Response, TransportError, WatchEvent
from podward.simulate.virtual_loop import run
from podward.store.index import HISTORY_LIMIT


async def create(api: Api, name: str) -> None:
    meta = meta_v1.ObjectMeta(name=name, namespace="default")
    await api.client.create(core_v1.ConfigMap(metadata=meta))


async def take(
    events: AsyncIterator[WatchEvent[core_v1.ConfigMap]], count: int
) -> list[tuple[str, str | None]]:
    seen: list[tuple[str, str | None]] = []
    async for event in events:
        assert event.object.metadata is not None
        seen.append((event.type, event.object.metadata.name))
        if len(seen) == count:
            break
    return seen


def test_a_watch_tells_what_came_after_the_version_and_only_that() -> None:
    async def main() -> None:
        api = await started()
        await create(api, "before")
        version = (await api.client.list(core_v1.ConfigMap)).resource_version
        watch = api.client.watch(core_v1.ConfigMap, "default", resource_version=version)
        reader = asyncio.create_task(take(watch, 3))
        await create(api, "a")
        await api.client.patch(core_v1.ConfigMap, "a", {"data": {"k": "v"}}, namespace="default")
        await api.client.delete(core_v1.ConfigMap, "before", "default")
        assert await asyncio.wait_for(reader, 5) == [
            ("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "before"),
        ]  # fmt: skip

    run(main())


def test_a_watch_can_be_narrowed() -> None:
    async def main() -> None:
        api = await started()
        version = (await api.client.list(core_v1.ConfigMap)).resource_version
        watch = api.client.watch(
            core_v1.ConfigMap, resource_version=version, field_selector="metadata.name=b"
        )
        reader = asyncio.create_task(take(watch, 1))
        await create(api, "a")
        await create(api, "b")
        assert await asyncio.wait_for(reader, 5) == [("ADDED", "b")]

    run(main())


def test_bookmarks_are_for_those_who_ask_for_raw_events() -> None:
    async def main() -> None:
        api = await started()
        version = (await api.client.list(core_v1.ConfigMap)).resource_version
        raw: list[RawWatchEvent] = []
        typed: list[str] = []

        async def follow_raw() -> None:
            async for event in api.client.watch_raw(core_v1.ConfigMap, resource_version=version):
                raw.append(event)

        async def follow_typed() -> None:
            async for event in api.client.watch(core_v1.ConfigMap, resource_version=version):
                typed.append(event.type)

        readers = [asyncio.create_task(follow_raw()), asyncio.create_task(follow_typed())]
        await asyncio.sleep(90)
        assert [event.type for event in raw] == ["BOOKMARK"]
        assert typed == []
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    run(main())


def test_a_version_too_old_is_410_expired() -> None:
    async def main() -> None:
        api = await started()
        await create(api, "a")
        for i in range(HISTORY_LIMIT + 1):
            await api.client.patch(
                core_v1.ConfigMap, "a", {"data": {"i": str(i)}}, namespace="default"
            )
        with pytest.raises(ApiError, match="too old resource version") as refused:
            await take(api.client.watch(core_v1.ConfigMap, resource_version="1"), 1)
        assert (refused.value.code, refused.value.reason) == (410, "Expired")

    run(main())


class Canned:
    """A transport that gives the same answer to everything."""

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = Response(status, {}, body)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        return self._answer

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        for line in self._answer.body.splitlines():
            yield line


@pytest.mark.parametrize(
    "body", [b"<html>Bad Gateway</html>", b"", b"\xff\xfe"], ids=["a page", "nothing", "no text"]
)
def test_an_answer_that_is_no_status_counts_as_no_answer(body: bytes) -> None:
    client = ApiClient(Canned(502, body))
    with pytest.raises(TransportError, match="502"):
        run(client.get(core_v1.Pod, "web", "default"))


def test_an_error_event_in_the_middle_of_a_watch_is_raised() -> None:
    lines = (
        b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
        b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"late"}}\n'
        b'{"type":"ADDED","object":{"metadata":{"name":"never"}}}\n'
    )
    seen: list[str | None] = []

    async def main() -> None:
        client = ApiClient(Canned(200, lines))
        async for event in client.watch(core_v1.ConfigMap, resource_version="1"):
            assert event.object.metadata is not None
            seen.append(event.object.metadata.name)

    with pytest.raises(ApiError, match="late") as expired:
        run(main())
    assert expired.value.code == 410
    assert seen == ["a"]
