"""The words of admission."""

from typing import Any, Literal

import msgspec

from podward.api.scheme import Resource

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


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
