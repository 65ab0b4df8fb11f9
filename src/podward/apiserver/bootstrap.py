"""What every cluster begins with: four namespaces, each with its default ServiceAccount."""

from typing import Final

from lightkube.models import core_v1, meta_v1

from podward.api.errors import ApiStatusError
from podward.api.scheme import Resource
from podward.apiserver.registry import Registry, WriteOptions

NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")


_OWN: Final = WriteOptions(housekeeping=True)


async def bootstrap(registry: Registry) -> None:
    """Create them; what is there already stays. A webhook that is not there must not keep us from starting."""
    for name in NAMESPACES:
        namespace = core_v1.Namespace(metadata=meta_v1.ObjectMeta(name=name))
        await create_missing(
            registry, registry.scheme.of_type(core_v1.Namespace), "", namespace, _OWN
        )
        await ensure_default_service_account(registry, name, _OWN)


async def ensure_default_service_account(
    registry: Registry, namespace: str, options: WriteOptions
) -> None:
    account = core_v1.ServiceAccount(metadata=meta_v1.ObjectMeta(name="default"))
    resource = registry.scheme.of_type(core_v1.ServiceAccount)
    if await registry.store.get(registry.key(resource, namespace, "default")) is None:
        await create_missing(registry, resource, namespace, account, options)


async def create_missing(
    registry: Registry,
    resource: Resource,
    namespace: str,
    obj: core_v1.Namespace | core_v1.ServiceAccount,
    options: WriteOptions,
) -> None:
    try:
        await registry.create(resource, namespace, obj, options)
    except ApiStatusError as error:
        if error.status.reason != "AlreadyExists":
            raise
