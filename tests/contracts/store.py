"""What every store must do; `open_store` gives a fresh, empty one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from podward.store.base import Change, Compacted, RevisionConflict, Store

Check = Callable[[Store], Awaitable[None]]


def text(value: str) -> Callable[[int], bytes]:
    """A document that carries its own revision, as the API's do."""
    return lambda revision: f"{value}@{revision}".encode()


async def take(watch: AsyncIterator[list[Change]], count: int) -> list[tuple[str, str, bytes]]:
    seen: list[tuple[str, str, bytes]] = []
    async for batch in watch:
        seen += [(change.type, change.record.key, change.record.value) for change in batch]
        if len(seen) >= count:
            return seen
    return seen


async def check_a_write_carries_its_revision(store: Store) -> None:
    first = await store.put("/a/1", text("x"), expected=0)
    second = await store.put("/a/2", text("y"), expected=0)
    assert second.revision == first.revision + 1 == store.revision
    assert first.value == f"x@{first.revision}".encode()
    assert await store.get("/a/1") == first
    assert await store.get("/a/3") is None


async def check_a_precondition_that_fails_changes_nothing(store: Store) -> None:
    first = await store.put("/a", text("x"), expected=0)
    for expected in (0, first.revision + 7):
        with pytest.raises(RevisionConflict) as refused:
            await store.put("/a", text("y"), expected=expected)
        assert refused.value.current == first
    with pytest.raises(RevisionConflict) as absent:
        await store.delete("/b", text("gone"), expected=None)
    assert absent.value.current is None
    assert await store.get("/a") == first
    assert store.revision == first.revision


async def check_concurrent_writers_of_one_key_win_once(store: Store) -> None:
    first = await store.put("/a", text("0"), expected=0)
    outcomes = await asyncio.gather(
        *(store.put("/a", text(str(i)), expected=first.revision) for i in range(8)),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert all(isinstance(o, RevisionConflict) for o in outcomes if isinstance(o, Exception))


async def check_who_reads_after_a_conflict_sees_what_won(store: Store) -> None:
    first = await store.put("/a", text("0"), expected=0)

    async def add_one() -> None:
        while True:
            read = await store.get("/a")
            assert read is not None
            count = int(read.value.partition(b"@")[0])
            try:
                await store.put("/a", text(str(count + 1)), expected=read.revision)
            except RevisionConflict:
                again = await store.get("/a")
                assert again is not None
                assert again.revision > read.revision
            else:
                return

    await asyncio.gather(*(add_one() for _ in range(20)))
    last = await store.get("/a")
    assert last is not None
    assert last.value.partition(b"@")[0] == b"20"
    assert last.revision == first.revision + 20


async def check_ranges_are_ordered_bounded_and_as_of_a_revision(store: Store) -> None:
    for name in ("c", "a", "b"):
        await store.put(f"/p/{name}", text(name), expected=0)
    await store.put("/q/z", text("z"), expected=0)
    then = store.revision
    await store.delete("/p/b", text("b"), expected=None)
    await store.put("/p/a", text("new"), expected=None)
    now = await store.range("/p/")
    assert [record.key for record in now.records] == ["/p/a", "/p/c"]
    old = await store.range("/p/", revision=then, limit=2)
    assert [record.key for record in old.records] == ["/p/a", "/p/b"]
    assert old.records[0].value.startswith(b"a@")
    assert (old.revision, old.remaining) == (then, 1)
    rest = await store.range("/p/", revision=then, after="/p/b")
    assert [record.key for record in rest.records] == ["/p/c"]


async def check_a_collection_tells_of_its_last_change(store: Store) -> None:
    pods, nodes = "/registry/core/pods/", "/registry/core/nodes/"
    opened = store.last_change(pods)
    first = await store.put(f"{pods}default/a", text("1"), expected=0)
    assert store.last_change(pods) == first.revision > opened
    other = await store.put(f"{nodes}n", text("2"), expected=0)
    assert (store.last_change(pods), store.last_change(nodes)) == (first.revision, other.revision)
    gone = await store.delete(f"{pods}default/a", text("1"), expected=None)
    assert store.last_change(pods) == gone.revision


async def check_a_watch_replays_then_follows_without_gap(store: Store) -> None:
    await store.put("/p/a", text("1"), expected=0)
    start = store.revision
    await store.put("/p/b", text("2"), expected=0)
    watching = asyncio.ensure_future(take(store.watch("/p/", after=start), 4))
    await asyncio.sleep(0)
    await store.put("/other", text("3"), expected=0)
    await store.put("/p/a", text("4"), expected=None)
    await store.delete("/p/b", text("5"), expected=None)
    await store.put("/p/b", text("6"), expected=0)
    assert [(kind, key) for kind, key, _ in await watching] == [
        ("ADDED", "/p/b"), ("MODIFIED", "/p/a"), ("DELETED", "/p/b"), ("ADDED", "/p/b"),
    ]  # fmt: skip


async def check_closing_ends_the_watches(store: Store) -> None:
    watching = asyncio.ensure_future(take(store.watch("/", after=store.revision), 1))
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    assert await watching == []


async def check_a_revision_before_the_history_is_compacted(store: Store) -> None:
    from podward.store.index import HISTORY_LIMIT

    for start in range(0, HISTORY_LIMIT + 2, 500):
        await asyncio.gather(
            *(store.put("/a", text("x"), expected=None) for _ in range(start, start + 500))
        )
    with pytest.raises(Compacted):
        await take(store.watch("/", after=1), 1)
    with pytest.raises(Compacted):
        await store.range("/", revision=1)
    assert await take(store.watch("/", after=store.revision - 1), 1)


CHECKS: tuple[Check, ...] = (
    check_a_write_carries_its_revision,
    check_a_precondition_that_fails_changes_nothing,
    check_concurrent_writers_of_one_key_win_once,
    check_a_collection_tells_of_its_last_change,
    check_ranges_are_ordered_bounded_and_as_of_a_revision,
    check_a_watch_replays_then_follows_without_gap,
    check_closing_ends_the_watches,
    check_a_revision_before_the_history_is_compacted,
)
