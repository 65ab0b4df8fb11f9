"""Events are forgotten an hour after they were last written."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from lightkube.models import meta_v1

from podward.api.errors import ApiStatusError
from podward.api.scheme import Resource
from podward.apiserver.registry import Registry, WriteOptions
from podward.apiserver.strategy import metadata_of
from podward.store.base import StoreError

EVENT_TTL: Final = timedelta(hours=1)
_SWEEP_PERIOD: Final = 60.0

_log = logging.getLogger(__name__)


async def run_event_ttl(registry: Registry) -> None:
    """Sweep once a minute, until cancelled."""
    events = registry.scheme.of_plural("", "v1", "events")
    assert events is not None, "the scheme has no events"
    written: dict[int, datetime | None] = {}
    while True:
        try:
            written = await sweep(registry, events, written)
        except (ApiStatusError, StoreError) as error:
            _log.warning("cannot remove old events: %s", error)
        await asyncio.sleep(_SWEEP_PERIOD)


async def sweep(
    registry: Registry, events: Resource, known: Mapping[int, datetime | None]
) -> dict[int, datetime | None]:
    """When what is there was last written, by revision; `known` is what the sweep before came to."""
    oldest = registry.clock.now() - EVENT_TTL
    found = {}
    listing = await registry.store.range(registry.prefix(events))
    for record in listing.records:
        revision = record.revision
        written = found[revision] = (
            known[revision]
            if revision in known
            else last_written(registry.cache.decode(record, events))
        )
        if written is None or written > oldest:
            continue
        metadata = metadata_of(registry.cache.decode(record, events))
        # Only if it is still the one looked at: another occurrence renews an event.
        same = meta_v1.Preconditions(resourceVersion=metadata.resourceVersion)
        try:
            await registry.delete(
                events,
                metadata.namespace or "",
                metadata.name or "",
                meta_v1.DeleteOptions(preconditions=same),
                WriteOptions(housekeeping=True),
            )
        except ApiStatusError as error:
            if error.status.code not in (404, 409):
                raise
    return found


def last_written(event: Any) -> datetime | None:
    """When the event was last seen, as near as its own times tell."""
    times = [
        event.series.lastObservedTime if event.series else None,
        event.lastTimestamp,
        event.eventTime,
        metadata_of(event).creationTimestamp,
    ]
    known = [moment for moment in times if moment is not None]
    return max(known) if known else None
