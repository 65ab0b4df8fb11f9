"""How an informer gets over what happens to its watch, against a server whose every answer is written down."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import EPOCH

from podward.client.api_client import ApiClient
from podward.client.base import ApiError, Response, TransportError
from podward.client.informer import Informer
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run

LOST = TransportError("connection reset")


def item(name: str, version: int, uid: str = "") -> dict[str, Any]:
    meta = {"name": name, "namespace": "d", "uid": uid or name, "resourceVersion": str(version)}
    return {"metadata": meta}


def event(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode()


def status(code: int, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": reason}


def refused(code: int, reason: str) -> ApiError:
    return ApiError(meta_v1.Status(code=code, reason=reason, message=reason))


BOOKMARK = event("BOOKMARK", {"kind": "ConfigMap", "metadata": {"resourceVersion": "77"}})
EXPIRED = event("ERROR", status(410, "Expired"))


class Script:
    """Lists (the last for ever) and watches, in order; exceptions are raised. Then a watch just waits."""

    def __init__(
        self, lists: Sequence[Any], watches: Sequence[Sequence[bytes | Exception]] = ()
    ) -> None:
        self._lists = deque(lists)
        self._watches = deque(watches)
        self.asked: list[str] = []
        """"list", or "watch" and the version it began at."""
        self.queries: list[Mapping[str, str]] = []
        self.times: list[float] = []

    def _note(self, what: str, query: Mapping[str, str]) -> None:
        self.asked.append(what)
        self.queries.append(query)
        self.times.append(asyncio.get_running_loop().time())

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        self._note("list", query or {})
        answer = self._lists[0] if len(self._lists) == 1 else self._lists.popleft()
        if isinstance(answer, Exception):
            raise answer
        version, items = answer
        listed = {"metadata": {"resourceVersion": str(version)}, "items": items}
        return Response(200, {}, json.dumps(listed).encode())

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        self._note(f"watch {(query or {})['resourceVersion']}", query or {})
        if not self._watches:
            await asyncio.sleep(1e6)
        for line in self._watches.popleft():
            if isinstance(line, Exception):
                raise line
            yield line


class Heard:
    def __init__(self, script: Script, **options: Any) -> None:
        self.informer = Informer(
            ApiClient(script), core_v1.ConfigMap, clock=LoopClock(EPOCH), entropy=Entropy(1), **options
        )  # fmt: skip
        self.seen: list[tuple[str, str, str]] = []  # change, name, resourceVersion
        self.stored: list[list[str]] = []
        """The names that the copy held when each change was told."""

    def __call__(self, change: str, obj: core_v1.ConfigMap) -> None:
        assert obj.metadata is not None
        self.seen.append((change, obj.metadata.name or "", obj.metadata.resourceVersion or ""))
        self.stored.append(sorted(name for _, name in self.informer.store))


@asynccontextmanager
async def following(script: Script, **options: Any) -> AsyncIterator[Heard]:
    heard = Heard(script, **options)
    task = asyncio.create_task(heard.informer.run(heard))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_the_copy_is_up_to_date_when_a_change_is_told() -> None:
    script = Script(
        [(5, [item("a", 3), item("b", 4)])],
        [[event("ADDED", item("c", 6)), event("DELETED", item("a", 7))]],
    )

    async def main() -> None:
        async with following(script) as heard:
            await asyncio.sleep(1)
            assert heard.seen == [
                ("ADDED", "a", "3"), ("ADDED", "b", "4"), ("ADDED", "c", "6"), ("DELETED", "a", "7"),
            ]  # fmt: skip
            assert heard.stored[2:] == [["a", "b", "c"], ["b", "c"]]

    run(main())


@pytest.mark.parametrize(
    "expired", [[EXPIRED], [refused(410, "Expired")]], ids=["in the watch", "before the watch"]
)
def test_a_version_that_expired_is_listed_anew_and_the_difference_told(
    expired: Sequence[bytes | Exception],
) -> None:
    script = Script(
        [
            (5, [item("gone", 1), item("changed", 2), item("same", 3)]),
            (90, [item("changed", 50), item("same", 3), item("new", 60)]),
        ],
        [expired],
    )

    async def main() -> None:
        async with following(script) as heard:
            await asyncio.sleep(1)
            assert sorted(heard.seen[3:]) == [
                ("ADDED", "new", "60"), ("DELETED", "gone", "1"), ("MODIFIED", "changed", "50"),
            ]  # fmt: skip
            assert sorted(name for _, name in heard.informer.store) == ["changed", "new", "same"]
            assert script.asked == ["list", "watch 5", "list", "watch 90"]
            assert script.times[2] < 1  # nobody is in trouble

    run(main())


def test_a_name_taken_again_in_the_gap_is_a_deletion_and_an_addition() -> None:
    script = Script([(5, [item("a", 3, "old")]), (90, [item("a", 80, "new")])], [[EXPIRED]])

    async def main() -> None:
        async with following(script) as heard:
            await asyncio.sleep(1)
            assert heard.seen[1:] == [("DELETED", "a", "3"), ("ADDED", "a", "80")]

    run(main())


@pytest.mark.parametrize(
    ("before", "version"),
    [
        ([], "5"),
        ([event("ADDED", item("b", 9))], "9"),
        ([event("ADDED", item("b", 9)), event("DELETED", item("b", 12))], "12"),
        ([event("ADDED", item("b", 9)), BOOKMARK], "77"),
    ],
    ids=["at once", "after an addition", "after a deletion", "after a bookmark"],
)
def test_a_broken_watch_goes_on_after_the_last_thing_it_told(
    before: list[bytes], version: str
) -> None:
    script = Script([(5, [item("a", 3)])], [[*before, LOST], [event("MODIFIED", item("a", 99))]])

    async def main() -> None:
        async with following(script) as heard:
            await asyncio.sleep(60)
            assert script.asked == ["list", "watch 5", f"watch {version}", "watch 99"]
            assert heard.seen[0] == ("ADDED", "a", "3")
            assert heard.seen[-1] == ("MODIFIED", "a", "99")
            assert len(heard.seen) == 2 + sum(b'"BOOKMARK"' not in line for line in before)

    run(main())


def test_a_bookmark_is_told_to_nobody() -> None:
    script = Script([(5, [item("a", 3)])], [[BOOKMARK]])

    async def main() -> None:
        async with following(script) as heard:
            await asyncio.sleep(10)
            assert (heard.seen, script.asked[-1]) == ([("ADDED", "a", "3")], "watch 77")

    run(main())


@pytest.mark.parametrize(
    "trouble", [LOST, refused(500, "InternalError"), refused(503, "ServiceUnavailable")], ids=str
)
def test_it_is_not_synced_before_a_list_has_succeeded(trouble: Exception) -> None:
    script = Script([trouble, trouble, trouble, (5, [item("a", 3)])])

    async def main() -> None:
        async with following(script) as heard:
            await asyncio.sleep(0.05)
            assert not heard.informer.synced.is_set()
            await asyncio.wait_for(heard.informer.synced.wait(), 60)
            assert heard.seen == [("ADDED", "a", "3")]

    run(main())


@pytest.mark.parametrize("trouble", [LOST, refused(503, "ServiceUnavailable")], ids=str)
def test_an_api_in_trouble_is_asked_ever_more_seldom_but_for_ever(trouble: Exception) -> None:
    script = Script([trouble])

    async def main() -> None:
        async with following(script):
            await asyncio.sleep(3600)
            pauses = [b - a for a, b in zip(script.times, script.times[1:], strict=False)]
            assert pauses[0] < 2
            assert all(5 < pause <= 30 for pause in pauses[20:])  # client-go's longest is 30 s
            assert script.times[-1] > 3560

    run(main())


def test_it_lists_and_watches_what_it_was_asked_for() -> None:
    script = Script([(5, [])])

    async def main() -> None:
        async with following(script, field_selector="spec.nodeName=n1"):
            await asyncio.sleep(1)
        assert [query["fieldSelector"] for query in script.queries] == ["spec.nodeName=n1"] * 2

    run(main())


@pytest.mark.parametrize(("options", "asked"), [({}, "true"), ({"bookmarks": False}, "false")])
def test_bookmarks_are_asked_for_unless_they_are_not_wanted(
    options: dict[str, bool], asked: str
) -> None:
    script = Script([(5, [])])

    async def main() -> None:
        async with following(script, **options):
            await asyncio.sleep(1)
        assert script.queries[1]["allowWatchBookmarks"] == asked

    run(main())
