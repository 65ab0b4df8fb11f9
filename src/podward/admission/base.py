"""The words of admission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from podward.api.scheme import Resource

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
T = TypeVar("T")


class StoredObjects(Protocol):
    """What plug-ins may read: the objects as they are stored now, never a copy that lags behind."""

    async def get(self, kind: type[T], name: str, namespace: str = "") -> T | None: ...

    async def list(self, kind: type[T], namespace: str = "") -> Sequence[T]:
        """All of them, by name; of all namespaces if `namespace` is empty.

        They are shared: not to be changed.
        """

    def version(self, kind: type[Any]) -> int:
        """Another one after each write of an object of this kind: what was made of a `list` is good until then.

        It costs next to nothing, so that it can be asked at every write of anything.
        """


class NoObjects:
    """Of a chain that stands alone."""

    async def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        return None

    async def list(self, kind: type[T], namespace: str = "") -> Sequence[T]:
        return ()

    def version(self, kind: type[Any]) -> int:
        return 0


@dataclass(slots=True)
class Rounds:
    """Of a request whose object was changed by somebody whom a plug-in called (Kubernetes 1.15 and later).

    The plug-ins did not see that change, so all of them go once more; never a third time.
    """

    again: bool = False
    """A plug-in asks for the second round."""
    second: bool = False
    """This is it."""
    memory: Any = None
    """What the plug-in that asks remembers of the first round."""


class AdmissionRequest(msgspec.Struct):
    """One write on its way to the store. `object` is None for a DELETE, `old_object` for a CREATE."""

    operation: Operation
    resource: Resource
    subresource: str
    namespace: str
    name: str
    object: Any
    old_object: Any
    user: str
    groups: tuple[str, ...] = ()
    dry_run: bool = False
    warnings: list[str] = msgspec.field(default_factory=list)
    """Plug-ins append; the client sees each once."""
    objects: StoredObjects = msgspec.field(default_factory=NoObjects)
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What the client sent beside the object, as a document: of a DELETE its DeleteOptions."""
    rounds: Rounds | None = None
    """None as long as no plug-in has called anybody."""

    def is_pod_creation(self) -> bool:
        return (
            self.operation == "CREATE"
            and self.resource.group_resource == "pods"
            and not self.subresource
        )


class AdmissionPlugin:
    """A plug-in overrides what it does; both raise `ApiStatusError` to refuse.

    `mutate` hands back the object to go on with: the one it was given, or a changed copy.
    """

    async def mutate(self, request: AdmissionRequest) -> Any:
        return request.object

    async def validate(self, request: AdmissionRequest) -> None:
        return None
