"""`/metrics`: what an operator's Prometheus asks an API server, under the names that Kubernetes gives it.

The parts of a cluster that count something are sources; the composition root adds them. Counting happens
in the loop, a scrape is written out `aside`: in a thread, where there are threads.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, Response
from podward.apiserver.router import Target
from podward.machinery.metrics import Counter, Family, exposition

Page = tuple[bytes, str]
"""A body and its content type."""
Source = Callable[[], Awaitable[Sequence[Family]]]
Aside = Callable[[Callable[[], Page]], Awaitable[Page]]

_METHODS: Final = {
    m: m for m in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT")
} | {"HEAD": "GET"}
"""What a client may invent beside them is `OTHER`."""


async def in_the_loop(write: Callable[[], Page]) -> Page:
    return write()


class MetricsPage:
    """A route handler."""

    def __init__(self, aside: Aside = in_the_loop) -> None:
        self._aside = aside
        self._sources: list[Source] = []

    def add(self, source: Source) -> None:
        self._sources.append(source)

    async def __call__(self, request: Request) -> Response:
        families = [family for source in self._sources for family in await source()]
        accept = request.headers.get("accept", "")
        body, content_type = await self._aside(lambda: exposition(families, accept))
        return Response(200, body, content_type)


class RequestCounter:
    """Requests by what they asked for and how they were answered. A watch counts when it begins."""

    def __init__(self) -> None:
        self._requests = Counter(
            "apiserver_request_total",
            "Requests, by verb, what they asked for, and HTTP code of the answer.",
            ("verb", "group", "version", "resource", "subresource", "code"),
        )

    def count(self, method: str, target: Target | None, watch: bool, code: int) -> None:
        method = _METHODS.get(method, "OTHER")
        if target is None:
            self._requests.inc(method, "", "", "", "", str(code))
            return
        resource = target.resource
        self._requests.inc(
            _verb(method, target, watch),
            resource.group,
            resource.version,
            resource.plural,
            target.subresource,
            str(code),
        )

    def read(self) -> Family:
        return self._requests.read()


def _verb(method: str, target: Target, watch: bool) -> str:
    if method == "GET" and not target.subresource:
        if target.watch or watch:
            return "WATCH"
        return "GET" if target.name else "LIST"
    if method == "DELETE" and not target.name:
        return "DELETECOLLECTION"
    return method


async def stored_objects(registry: Registry) -> Family:
    """How many of each kind are kept, presets of all three kinds among them."""
    counts: dict[tuple[str, ...], float] = {}
    for resource in registry.scheme:
        if not resource.stored:
            continue
        listing = await registry.store.range(registry.prefix(resource))
        counts[(resource.group_resource,)] = float(len(listing.records))
    return Family(
        "apiserver_storage_objects", "Stored objects, by kind.", "gauge", ("resource",), counts
    )
