"""What every cluster begins with: four namespaces, what each has, a Service, the roles of RBAC."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from lightkube.models import core_v1, meta_v1, rbac_v1

from podward.api.errors import ApiStatusError
from podward.api.scheme import Resource
from podward.apiserver.policy_bootstrap import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    brought_up_to_date,
)
from podward.apiserver.registry import Registry, WriteOptions

NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
ROOT_CA: Final = "kube-root-ca.crt"
"""The ConfigMap by which Pods know the API server."""
API_SERVICE: Final = "kubernetes"
_ABOUT_ROOT_CA: Final = {
    "kubernetes.io/description": (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such "
        "as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
        "distributions of Kubernetes clusters."
    )
}


_OWN: Final = WriteOptions(housekeeping=True)


async def bootstrap(registry: Registry, root_ca: str = "") -> None:
    """Create them; what is there already stays. A webhook that is not there must not keep us from starting."""
    for name in NAMESPACES:
        namespace = core_v1.Namespace(metadata=meta_v1.ObjectMeta(name=name))
        await create_missing(
            registry, registry.scheme.of_type(core_v1.Namespace), "", namespace, _OWN
        )
        await furnish(registry, name, _OWN, root_ca)


async def bootstrap_policy(registry: Registry) -> None:
    """RBAC's roles and bindings; those that are there already get the rules that they lack."""
    for ours in CLUSTER_ROLES:
        name = (ours.metadata and ours.metadata.name) or ""
        resource = registry.scheme.of_type(rbac_v1.ClusterRole)
        stored = await registry.objects.get(rbac_v1.ClusterRole, name)
        if stored is None:
            await create_missing(registry, resource, "", _fresh(ours), _OWN)
        elif brought_up_to_date(stored, ours) is not stored:

            def change(
                old: rbac_v1.ClusterRole, document: bytes, ours: rbac_v1.ClusterRole = ours
            ) -> rbac_v1.ClusterRole:
                return brought_up_to_date(old, ours)

            await registry.update(resource, "", name, change, _OWN)
    await _create_all(registry, rbac_v1.ClusterRoleBinding, CLUSTER_ROLE_BINDINGS)


async def bootstrap_service(registry: Registry, address: str) -> None:
    """The API server itself, as Pods find it; where they find it elsewhere, it is not told."""
    resource = registry.scheme.of_type(core_v1.Service)
    stored = await registry.objects.get(core_v1.Service, API_SERVICE, "default")
    told = (stored.spec and stored.spec.clusterIP) if stored is not None else ""
    if stored is not None and told != address:
        await registry.delete(resource, "default", API_SERVICE, meta_v1.DeleteOptions(), _OWN)
    if address and told != address:
        metadata = meta_v1.ObjectMeta(
            name=API_SERVICE, labels={"component": "apiserver", "provider": "kubernetes"}
        )
        port = core_v1.ServicePort(443, name="https")
        spec = core_v1.ServiceSpec(clusterIP=address, ports=[port])
        service = core_v1.Service(metadata=metadata, spec=spec)
        await create_missing(registry, resource, "default", service, _OWN)


async def _create_all(registry: Registry, kind: type[Any], objects: Sequence[Any]) -> None:
    for obj in objects:
        if await registry.objects.get(kind, obj.metadata.name) is None:
            await create_missing(registry, registry.scheme.of_type(kind), "", _fresh(obj), _OWN)


def _fresh(obj: Any) -> Any:
    """A copy that nobody shares: defaults are filled in in place."""
    return msgspec.convert(msgspec.to_builtins(obj), type(obj))


async def furnish(
    registry: Registry, namespace: str, options: WriteOptions, root_ca: str = ""
) -> None:
    """What a namespace must have: the default account and, unless it is empty, the authority's certificate."""
    account = core_v1.ServiceAccount(metadata=meta_v1.ObjectMeta(name="default"))
    resource = registry.scheme.of_type(core_v1.ServiceAccount)
    if await registry.store.get(registry.key(resource, namespace, "default")) is None:
        await create_missing(registry, resource, namespace, account, options)
    if root_ca:
        await _publish(registry, namespace, options, {"ca.crt": root_ca})


async def _publish(
    registry: Registry, namespace: str, options: WriteOptions, data: dict[str, str]
) -> None:
    resource = registry.scheme.of_type(core_v1.ConfigMap)
    stored = await registry.objects.get(core_v1.ConfigMap, ROOT_CA, namespace)
    if stored is None:
        metadata = meta_v1.ObjectMeta(name=ROOT_CA, annotations=dict(_ABOUT_ROOT_CA))
        fresh = core_v1.ConfigMap(metadata=metadata, data=data)
        await create_missing(registry, resource, namespace, fresh, options)
    elif stored.data != data:

        def mended(old: core_v1.ConfigMap, document: bytes) -> core_v1.ConfigMap:
            return msgspec.structs.replace(old, data=data, binaryData=None)

        await registry.update(resource, namespace, ROOT_CA, mended, options)


async def create_missing(
    registry: Registry,
    resource: Resource,
    namespace: str,
    obj: Any,
    options: WriteOptions,
) -> None:
    try:
        await registry.create(resource, namespace, obj, options)
    except ApiStatusError as error:
        if error.status.reason != "AlreadyExists":
            raise
