"""The words of admission."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

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


class NoObjects:
    """Of a chain that stands alone."""

    async def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        return None

    async def list(self, kind: type[T], namespace: str = "") -> Sequence[T]:
        return ()


@dataclass(slots=True)
class AdmissionRequest:
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
    warnings: list[str] = field(default_factory=list)
    """Plug-ins append; the client sees each once."""
    objects: StoredObjects = field(default_factory=NoObjects)

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
