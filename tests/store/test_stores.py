"""Both stores pass one contract; the durable one survives what kills a process."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts import store as contract

from podward.simulate.virtual_loop import run
from podward.store.base import StoreError, StoreUnavailable
from podward.store.index import Index
from podward.store.memory import MemoryStore
from podward.store.sqlite import SqliteStore


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_the_memory_store_keeps_the_contract(check: contract.Check) -> None:
    async def main() -> None:
        await check(MemoryStore())

    run(main())


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_the_sqlite_store_keeps_the_contract(check: contract.Check, tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        await check(store)
        await store.close()

    asyncio.run(main())


def test_a_reopened_store_has_everything_and_its_watches_resume(tmp_path: Path) -> None:
    async def write() -> int:
        store = SqliteStore.open(tmp_path / "store.db")
        await store.put("/a", contract.text("1"), expected=0)
        start = store.revision
        await store.put("/b", contract.text("2"), expected=0)
        await store.delete("/a", contract.text("3"), expected=None)
        await store.close()
        return start

    async def read(start: int) -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        assert store.revision == start + 2
        assert [record.key for record in (await store.range("/")).records] == ["/b"]
        seen = await contract.take(store.watch("/", after=start), 2)
        assert [(kind, key) for kind, key, _ in seen] == [("ADDED", "/b"), ("DELETED", "/a")]
        assert (await store.put("/c", contract.text("4"), expected=0)).revision == start + 3
        await store.close()

    asyncio.run(read(asyncio.run(write())))


_WRITER = """
import asyncio, sys
from pathlib import Path
from podward.store.sqlite import SqliteStore

async def write(store, writer):
    n = 0
    while True:
        record = await store.put(f"/{writer}/{n}", lambda r: b"x" * 500, expected=0)
        sys.stdout.write(f"{record.key} {record.revision}\\n")
        sys.stdout.flush()
        n += 1

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    start = store.revision
    await asyncio.gather(*(write(store, f"{start}-{i}") for i in range(8)))

asyncio.run(main())
"""


def test_every_acknowledged_write_survives_kill_9(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "store.db")],
            stdout=subprocess.PIPE, text=True,
        ) as writer:  # fmt: skip
            assert writer.stdout is not None
            for count, line in enumerate(writer.stdout):
                if not line.endswith("\n"):
                    break
                key, revision = line.split()
                acknowledged[key] = int(revision)
                if count == 150:
                    os.kill(writer.pid, signal.SIGKILL)

        async def check() -> None:
            store = SqliteStore.open(tmp_path / "store.db")
            for key, revision in acknowledged.items():
                record = await store.get(key)
                assert record is not None
                assert record.revision == revision
            await store.close()

        asyncio.run(check())


def test_a_write_that_cannot_be_made_durable_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore.open(tmp_path / "store.db")
        kept = await store.put("/a", contract.text("1"), expected=0)
        store._connection.execute("PRAGMA max_page_count = 1")  # a full disk, as SQLite says it
        outcomes = await asyncio.gather(
            *(store.put(f"/big{i}", lambda r: b"x" * 100_000, expected=0) for i in range(3)),
            return_exceptions=True,
        )
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        assert await store.get("/a") == kept
        assert await store.get("/big0") is None
        store._connection.execute("PRAGMA max_page_count = 1000000")
        again = await store.put("/big0", lambda r: b"y", expected=0)
        assert again.revision > kept.revision
        await store.close()

    asyncio.run(main())


def test_a_file_that_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("this is not a database, and long enough to be taken for one" * 20)
    with pytest.raises(StoreError, match=str(path)):
        SqliteStore.open(path)


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["put", "delete"])), max_size=40)
)
def test_the_index_agrees_with_a_dictionary(steps: list[tuple[str, str]]) -> None:
    index = Index()
    model: dict[str, int] = {}
    past: list[dict[str, int]] = [{}]
    for key, step in steps:
        if step == "put":
            index.commit(index.stage_put(key, lambda revision: b"", None))
            model[key] = index.revision
        elif key in model:
            index.commit(index.stage_delete(key, lambda revision: b"", None))
            del model[key]
        else:
            continue
        past.append(dict(model))
    for revision, state in enumerate(past):
        listing = index.range("", revision=revision, limit=0, after="")
        assert {record.key: record.revision for record in listing.records} == state


def test_a_watch_ends_at_a_time_that_has_all_but_come() -> None:
    """uvloop makes no timer of what is due within half a millisecond."""

    async def main() -> None:
        store = MemoryStore()
        watch = store.watch("/registry/", after=store.revision)
        loop = asyncio.get_running_loop()
        for _ in range(20):
            assert await asyncio.wait_for(watch.until(loop.time() + 0.0004), 5) == []
        for _ in range(20):
            waiting = asyncio.ensure_future(watch.until(loop.time() + 0.0004))
            await store.put(f"/registry/{_}", lambda revision: b"{}", expected=0)
            await asyncio.wait_for(waiting, 5)
        await watch.aclose()

    uvloop.run(main())
