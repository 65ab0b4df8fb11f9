"""The only way to talk to the API: typed verbs over a transport.

Objects are lightkube-models Structs; which URL they live at comes from `api.scheme`. The transport is the
in-process one (the server's ASGI application, no socket) or HTTP; nothing above it can tell.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec
from lightkube.models import authentication_v1
from lightkube.models.meta_v1 import Status

T = TypeVar("T")


class ApiError(Exception):
    """The server said no; `status` is what it said (`reason`, `code`, `details.causes`)."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message or status.reason or "unknown error")
        self.status = status

    @property
    def code(self) -> int:
        return self.status.code or 500

    @property
    def reason(self) -> str:
        return self.status.reason or ""

    def has_cause(self, reason: str) -> bool:
        causes = (self.status.details and self.status.details.causes) or ()
        return any(cause.reason == reason for cause in causes)


class TransportError(Exception):
    """The server could not be reached, or went away in the middle."""


class Response(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes


class Transport(Protocol):
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response: ...

    def stream(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[bytes]:
        """A GET whose body is handed over line by line as it arrives. `ApiError` if the status is not 200."""


class RawWatchEvent(msgspec.Struct):
    """One line of a watch; the object is left undecoded until its kind is known."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[T]):
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: T


@dataclass(frozen=True, slots=True)
class ObjectList(Generic[T]):
    items: list[T]
    resource_version: str


PatchType = Literal["json", "merge", "strategic"]


class Client(Protocol):
    """Typed verbs. `kind` is the Struct class of a row of `api.scheme` (e.g. `core_v1.Pod`).

    All raise `ApiError` (the server's answer) or `TransportError` (no answer).
    """

    async def get(self, kind: type[T], name: str, namespace: str = "") -> T: ...

    async def list(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList[T]:
        """All namespaces if `namespace` is empty."""

    async def create(self, obj: T) -> T: ...

    async def update(self, obj: T, *, subresource: str = "") -> T: ...

    async def patch(
        self,
        kind: type[T],
        name: str,
        patch: Any,
        *,
        namespace: str = "",
        patch_type: PatchType = "strategic",
        subresource: str = "",
    ) -> T: ...

    async def delete(
        self,
        kind: type[T],
        name: str,
        namespace: str = "",
        *,
        grace_period_seconds: int | None = None,
        uid: str | None = None,
    ) -> None: ...

    async def bind(self, name: str, namespace: str, node_name: str) -> None:
        """POST pods/{name}/binding."""

    async def create_token(
        self, account: str, namespace: str, spec: authentication_v1.TokenRequestSpec
    ) -> authentication_v1.TokenRequestStatus:
        """POST serviceaccounts/{account}/token: the token, and when it expires."""

    def watch(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent[T]]:
        """Changes after `resource_version`. Ends when the server ends it; ERROR events raise `ApiError`
        (410 Expired: list again). `client.informer.Informer` does list, watch and all of the rest."""

    def watch_raw(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
    ) -> AsyncIterator[RawWatchEvent]:
        """As `watch`, bookmarks included and undecoded: what an informer moves its version by."""
