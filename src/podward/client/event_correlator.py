"""What becomes of an event before it is written: aggregate, count, filter (spec/health.md 7.3).

Pure but for its memory: the same event again becomes a higher count on the first one; ten different messages
of one reason within ten minutes become one event that stands for them; and whoever says too much about one
object is cut off, one more word every five minutes. All times are epoch seconds.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

CACHE_SIZE = 4096
AGGREGATE_WINDOW_SECONDS = 600.0
AGGREGATE_MESSAGES = 10
"""The tenth distinct message within the window is the first to be folded."""
SPAM_BURST = 25
SPAM_REFILL_SECONDS = 300.0

K = TypeVar("K")
V = TypeVar("V")


class _Lru(Generic[K, V]):
    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


class EventFacts(msgspec.Struct, frozen=True):
    """What tells one event from another."""

    component: str
    host: str
    object: tuple[str, str, str, str, str]
    """apiVersion, kind, namespace, name, uid of what it is about."""
    field_path: str
    type: str
    reason: str
    message: str


@dataclass(slots=True)
class Sighting:
    """An event as the server knows it, or will: one object, however often it is said."""

    name: str
    first_seen: float
    count: int = 0


class Correlated(msgspec.Struct, frozen=True):
    """What to write: POST if `sighting.count` is 1, else PATCH."""

    sighting: Sighting
    message: str
    write: bool
    """False if the spam filter swallowed it; the count has advanced all the same."""


@dataclass(slots=True)
class _Group:
    messages: dict[str, None]
    """A set that remembers its order: what is popped must not depend on hashes."""
    last_seen: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class EventCorrelator:
    def __init__(self) -> None:
        self._groups: _Lru[tuple[object, ...], _Group] = _Lru(CACHE_SIZE)
        self._sightings: _Lru[tuple[object, ...], Sighting] = _Lru(CACHE_SIZE)
        self._buckets: _Lru[tuple[object, ...], _Bucket] = _Lru(CACHE_SIZE)

    def correlate(self, event: EventFacts, now: float, fresh_name: Callable[[], str]) -> Correlated:
        """`fresh_name` is asked if this event has not been seen before."""
        key, message = self._aggregate(event, now)
        sighting = self._sightings.get(key)
        if sighting is None:
            sighting = Sighting(fresh_name(), now)
            self._sightings.put(key, sighting)
        sighting.count += 1
        return Correlated(sighting, message, self._take_token(event, now))

    def _aggregate(self, event: EventFacts, now: float) -> tuple[tuple[object, ...], str]:
        group_key = (event.component, event.host, event.object, event.type, event.reason)
        group = self._groups.get(group_key)
        if group is None or now - group.last_seen > AGGREGATE_WINDOW_SECONDS:
            group = _Group({}, now)
            self._groups.put(group_key, group)
        group.last_seen = now
        group.messages[event.message] = None
        if len(group.messages) < AGGREGATE_MESSAGES:
            return (*group_key, event.field_path, event.message), event.message
        # A set that only grew would be a leak; enough stays in it to go on folding.
        group.messages.popitem()
        return group_key, f"(combined from similar events): {event.message}"

    def _take_token(self, event: EventFacts, now: float) -> bool:
        key = (event.component, event.host, event.object, event.type)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = _Bucket(SPAM_BURST, now)
            self._buckets.put(key, bucket)
        refill = max(now - bucket.filled_at, 0.0) / SPAM_REFILL_SECONDS
        bucket.tokens = min(bucket.tokens + refill, SPAM_BURST)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True
