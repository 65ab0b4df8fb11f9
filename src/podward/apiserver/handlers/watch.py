"""GET with `watch=true`: changes of a collection as they happen, one JSON document a line."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from podward.api import errors
from podward.api.scheme import Resource
from podward.apiserver.handlers.list import parse_version, require_reached
from podward.apiserver.handlers.options import integer
from podward.apiserver.printers.table import partial, table_of
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, StreamResponse
from podward.apiserver.responses import Negotiated, negotiate
from podward.apiserver.router import Target
from podward.apiserver.selection import Selection, selection
from podward.store.base import Change, Compacted, Record

BOOKMARK_PERIOD: Final = 60.0
"""Seconds between the bookmarks of a quiet watch."""
_SETTLING: Final = 0.01
"""Seconds for a change that is committed to come out of the store's watch: turns of the loop, no I/O."""
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


@dataclass(slots=True)
class _Events:
    """Changes to lines, for one watcher."""

    registry: Registry
    resource: Resource
    selected: Selection
    wanted: Negotiated
    _columns_sent: bool = field(default=False)

    def of_change(self, change: Change) -> bytes | None:
        """The line of a change; None if this watcher does not select the object."""
        kind: str = change.type
        if not self.selected.everything:
            translated = self._translated(change)
            if translated is None:
                return None
            kind = translated
        return self.of_record(kind, change.record)

    def of_record(self, kind: str, record: Record) -> bytes:
        if self.wanted.form == "object":
            return _line(kind, record.value)
        obj = self.registry.cache.decode(record, self.resource)
        return _line(kind, msgspec.json.encode(self._shaped([obj], str(record.revision), obj)))

    def selects(self, record: Record) -> bool:
        if self.selected.everything:
            return True
        return self.selected.matches(self.registry.cache.decode(record, self.resource))

    def bookmark(self, revision: int, *, initial: bool = False) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial:
            metadata["annotations"] = {_INITIAL_EVENTS_END: "true"}
        row = self.resource
        value: dict[str, Any] = {
            "kind": row.kind,
            "apiVersion": row.api_version,
            "metadata": metadata,
        }
        if self.wanted.form == "table":
            value = self._shaped([], str(revision), None)
        elif self.wanted.form == "partial":
            value |= {
                "kind": "PartialObjectMetadata",
                "apiVersion": f"meta.k8s.io/{self.wanted.version}",
            }
        return _line("BOOKMARK", msgspec.json.encode(value))

    def _translated(self, change: Change) -> str | None:
        """A match lost is a deletion to this watcher, a match gained an addition."""
        before = change.previous is not None and self.selects(change.previous)
        if change.type == "DELETED":
            return (
                "DELETED"
                if before or (not change.previous and self.selects(change.record))
                else None
            )
        now = self.selects(change.record)
        if now:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else None

    def _shaped(self, objects: list[Any], revision: str, obj: Any) -> dict[str, Any]:
        if self.wanted.form == "partial":
            return partial(obj, self.wanted.version)
        table = table_of(
            self.resource,
            objects,
            self.registry.clock.now(),
            metadata={"resourceVersion": revision},
            include=self.wanted.include,
            version=self.wanted.version,
            columns=not self._columns_sent,
        )
        self._columns_sent = True
        return table


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a watch request asks for."""

    after: int | None
    """Changes after this revision; None: begin with all that exists."""
    bookmarks: bool
    initial_end: bool
    timeout: float | None


async def watch(registry: Registry, target: Target, request: Request) -> StreamResponse:
    """Opens the watch; what is wrong with the request is said before the first byte."""
    selected = selection(request, registry.strategy(target.resource), target.name)
    events = _Events(registry, target.resource, selected, negotiate(request))
    plan = _plan(registry, request)
    prefix = registry.prefix(target.resource, target.namespace)
    return StreamResponse(200, _stream(registry, prefix, events, plan))


def _plan(registry: Registry, request: Request) -> _Plan:
    version = parse_version(request.query.get("resourceVersion", ""))
    bookmarks = request.flag("allowWatchBookmarks")
    initial = request.query.get("sendInitialEvents")
    match = request.query.get("resourceVersionMatch", "")
    if initial is not None and match != "NotOlderThan":
        raise errors.bad_request(
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        )
    if initial is None and match:
        raise errors.bad_request(
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is set"
        )
    seconds = integer(request, "timeoutSeconds")
    timeout = float(seconds) if seconds else None
    if initial is not None:
        require_reached(registry, version)
        whole = request.flag("sendInitialEvents")
        return _Plan(
            None if whole else version or registry.store.revision,
            bookmarks,
            whole and bookmarks,
            timeout,
        )
    return _Plan(version or None, bookmarks, False, timeout)


async def _stream(
    registry: Registry, prefix: str, events: _Events, plan: _Plan
) -> AsyncIterator[bytes]:
    revision = plan.after
    if revision is None:
        listing = await registry.store.range(prefix)
        revision = listing.revision
        lines = [events.of_record("ADDED", r) for r in listing.records if events.selects(r)]
        if plan.initial_end:
            lines.append(events.bookmark(revision, initial=True))
        if lines:
            yield b"".join(lines)
    try:
        async with aclosing(_batches(registry, prefix, revision, plan)) as batches:
            async for batch in batches:
                if isinstance(batch, int):
                    revision = max(revision, batch)
                    yield events.bookmark(revision)
                    continue
                revision = batch[-1].record.revision
                chunk = b"".join(filter(None, map(events.of_change, batch)))
                if chunk:
                    yield chunk
    except Compacted as error:
        expired = errors.expired(f"too old resource version: {error.requested} ({error.oldest})")
        yield _line("ERROR", msgspec.json.encode(expired.status))


async def _batches(
    registry: Registry, prefix: str, after: int, plan: _Plan
) -> AsyncGenerator[list[Change] | int, None]:
    """What the store reports, and in between, whenever a bookmark is due, the revision reached."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + plan.timeout if plan.timeout is not None else math.inf
    due = loop.time() + BOOKMARK_PERIOD if plan.bookmarks else math.inf
    reached: int | None = None
    changes = registry.store.watch(prefix, after=after)
    try:
        while True:
            until = min(ends, due) if reached is None else loop.time() + _SETTLING
            batch = await changes.until(until)
            if batch is None:
                return
            # A loop's timers may come early by a rounding: what was waited for has come all the same.
            now = loop.time() if batch else max(loop.time(), until)
            if batch:
                yield batch
            elif reached is not None:
                yield reached
                reached = None
            elif now >= ends:
                return
            if now >= due:
                # What was committed up to now may still be on its way here: it goes out first.
                due = loop.time() + BOOKMARK_PERIOD
                reached = registry.store.revision
    finally:
        await changes.aclose()


def _line(kind: str, document: bytes) -> bytes:
    return b'{"type":"' + kind.encode() + b'","object":' + document + b"}\n"
