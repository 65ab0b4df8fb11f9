"""The event recorder: saying something never waits and never fails; writing it down happens behind.

What is said is correlated at once (`event_correlator.py`), queued, and written by `run` in order: a first
sighting as a new Event, a repeated one as a PATCH of its count (spec/health.md 7.1, 7.3).
"""

import asyncio
import logging
from datetime import datetime
from typing import Any

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.api.errors import NAMESPACE_TERMINATING
from podward.client.base import ApiError, Client, TransportError
from podward.client.event_correlator import Correlated, EventCorrelator, EventFacts
from podward.machinery.clock import Clock, whole_seconds
from podward.machinery.entropy import Entropy

QUEUE_LIMIT = 1000
"""Events waiting to be written; beyond it they are dropped, for what they tell about must not wait."""
MAX_TRIES = 12
RETRY_SECONDS = 10.0

log = logging.getLogger(__name__)


class _Entry(msgspec.Struct, frozen=True):
    event: core_v1.Event
    repeated: bool


class EventRecorder:
    def __init__(
        self, client: Client, clock: Clock, entropy: Entropy, *, component: str, host: str
    ) -> None:
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._component = component
        self._host = host
        self._correlator = EventCorrelator()
        self._last_name = 0
        self._queue: asyncio.Queue[_Entry] = asyncio.Queue(QUEUE_LIMIT)

    def event(
        self, involved: core_v1.ObjectReference, type: str, reason: str, message: str
    ) -> None:
        """Say that something happened to `involved`; `type` is Normal or Warning."""
        now = self._clock.now()
        facts = self._facts(involved, type, reason, message)
        correlated = self._correlator.correlate(
            facts, now.timestamp(), lambda: self._name(involved, now)
        )
        if correlated.write:
            self._enqueue(self._counted_event(involved, facts, correlated, now))

    def new_style_event(
        self,
        involved: core_v1.ObjectReference,
        *,
        type: str,
        reason: str,
        action: str,
        message: str,
    ) -> None:
        """As the scheduler says it: one moment (`eventTime`), no count, no first and last."""
        now = self._clock.now()
        event = core_v1.Event(
            metadata=self._metadata(self._name(involved, now), involved),
            involvedObject=involved,
            type=type,
            reason=reason,
            action=action,
            message=message,
            eventTime=now,
            reportingComponent=self._component,
            reportingInstance=f"{self._component}-{self._host}",
        )
        self._enqueue(_Entry(event, repeated=False))

    async def run(self) -> None:
        while True:
            entry = await self._queue.get()
            try:
                await self._write_patiently(entry)
            finally:
                self._queue.task_done()

    async def flush(self, timeout: float = 2.0) -> None:
        """Wait until what was said is written, or the API server proves to be away."""
        try:
            await asyncio.wait_for(self._queue.join(), timeout)
        except TimeoutError:
            log.warning("gave up writing %d events", self._queue.qsize())

    # ---- making the object

    def _facts(
        self, involved: core_v1.ObjectReference, type: str, reason: str, message: str
    ) -> EventFacts:
        return EventFacts(
            component=self._component,
            host=self._host,
            object=(
                involved.apiVersion or "",
                involved.kind or "",
                involved.namespace or "",
                involved.name or "",
                involved.uid or "",
            ),
            field_path=involved.fieldPath or "",
            type=type,
            reason=reason,
            message=message,
        )

    def _counted_event(
        self,
        involved: core_v1.ObjectReference,
        facts: EventFacts,
        correlated: Correlated,
        now: datetime,
    ) -> _Entry:
        sighting = correlated.sighting
        first = datetime.fromtimestamp(sighting.first_seen, now.tzinfo)
        event = core_v1.Event(
            metadata=self._metadata(sighting.name, involved),
            involvedObject=involved,
            type=facts.type,
            reason=facts.reason,
            message=correlated.message,
            source=core_v1.EventSource(component=self._component, host=self._host),
            firstTimestamp=whole_seconds(first),
            lastTimestamp=whole_seconds(now),
            count=sighting.count,
            reportingComponent=self._component,
            reportingInstance=self._host,
        )
        return _Entry(event, repeated=sighting.count > 1)

    def _metadata(self, name: str, involved: core_v1.ObjectReference) -> meta_v1.ObjectMeta:
        return meta_v1.ObjectMeta(name=name, namespace=involved.namespace or "default")

    def _name(self, involved: core_v1.ObjectReference, now: datetime) -> str:
        """Its time, and dice below the millisecond: two recorders may speak of one Pod in one instant."""
        nanoseconds = int(now.timestamp() * 1e3) * 1_000_000 + int(self._entropy.uniform(0, 1e6))
        nanoseconds = self._last_name = max(nanoseconds, self._last_name + 1)
        return f"{involved.name}.{nanoseconds:x}"

    # ---- writing

    def _enqueue(self, entry: _Entry) -> None:
        try:
            self._queue.put_nowait(entry)
        except asyncio.QueueFull:
            log.warning("dropped an event: %s %s", entry.event.reason, entry.event.message)

    async def _write_patiently(self, entry: _Entry) -> None:
        for attempt in range(MAX_TRIES):
            try:
                await self._write(entry)
                return
            except ApiError as error:
                # The server read it and refused: saying it again would not help. That a Pod ends because its
                # namespace goes is nobody's fault, and of no interest to anybody there.
                if not error.has_cause(NAMESPACE_TERMINATING):
                    log.warning("cannot record %s: %s", entry.event.reason, error)
                return
            except TransportError as error:
                log.warning("cannot record %s: %s", entry.event.reason, error)
                # At first a random wait, lest every recorder come back at the same moment.
                delay = self._entropy.uniform(0, RETRY_SECONDS) if attempt == 0 else RETRY_SECONDS
                await asyncio.sleep(delay)

    async def _write(self, entry: _Entry) -> None:
        if entry.repeated:
            try:
                await self._client.patch(
                    core_v1.Event,
                    _meta(entry.event).name or "",
                    _patch(entry.event),
                    namespace=_meta(entry.event).namespace or "",
                )
                return
            except ApiError as error:
                if error.code != 404:
                    raise
        await self._client.create(entry.event)


def _meta(event: core_v1.Event) -> meta_v1.ObjectMeta:
    return event.metadata


def _patch(event: core_v1.Event) -> Any:
    repeated = {
        "count": event.count,
        "lastTimestamp": event.lastTimestamp,
        "message": event.message,
    }
    return msgspec.to_builtins(repeated)


def pod_reference(pod: core_v1.Pod, field_path: str = "") -> core_v1.ObjectReference:
    """What an Event about this Pod, or the container at `field_path` in it, points at."""
    meta = pod.metadata or meta_v1.ObjectMeta()
    return core_v1.ObjectReference(
        apiVersion="v1",
        kind="Pod",
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        resourceVersion=meta.resourceVersion,
        fieldPath=field_path or None,
    )
