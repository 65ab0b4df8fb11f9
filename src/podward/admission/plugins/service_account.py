"""ServiceAccount: a Pod that names no account gets its namespace's `default` one.

Where accounts have tokens, it gets the way to the API server too: a volume with token, certificate and
namespace, mounted in every container.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.api.errors import ApiStatusError, forbidden

MOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_DEFAULT: Final = "default"
_VOLUME: Final = "kube-api-access-"
_TRIES: Final = 10
_SECONDS: Final = 0.1
"""A new namespace's default account is made a moment after it: so often, and so far apart, is it looked for."""
_MIRROR: Final = "kubernetes.io/config.mirror"


class ServiceAccount(AdmissionPlugin):
    def __init__(self, suffix: Callable[[], str] | None = None) -> None:
        """`suffix`: what the volume's name ends with; None where accounts have no tokens."""
        self._suffix = suffix

    async def mutate(self, request: AdmissionRequest) -> Any:
        pod = request.object
        if not request.is_pod_creation() or pod.spec is None:
            return pod
        if _MIRROR in ((pod.metadata and pod.metadata.annotations) or {}):
            return pod  # it says of a Pod what it is; nobody may change that
        if not pod.spec.serviceAccountName:
            pod = _with_spec(pod, serviceAccountName=_DEFAULT, serviceAccount=_DEFAULT)
        if self._suffix is None:
            return pod
        account = await _account(request, pod)
        if _automounts(account, pod.spec):
            pod = _with_access(pod, self._suffix)
        if account.imagePullSecrets and not pod.spec.imagePullSecrets:
            pod = _with_spec(pod, imagePullSecrets=list(account.imagePullSecrets))
        return pod


async def _account(request: AdmissionRequest, pod: core_v1.Pod) -> core_v1.ServiceAccount:
    name = (pod.spec and pod.spec.serviceAccountName) or ""
    for left in reversed(range(_TRIES if name == _DEFAULT else 1)):
        found = await request.objects.get(core_v1.ServiceAccount, name, request.namespace)
        if found is not None:
            return found
        if left:
            await asyncio.sleep(_SECONDS)
    raise _refused(
        request,
        f"error looking up service account {request.namespace}/{name}: "
        f'serviceaccount "{name}" not found',
    )


def _refused(request: AdmissionRequest, why: str) -> ApiStatusError:
    """The Pod may have no name yet."""
    metadata = request.object.metadata or meta_v1.ObjectMeta()
    return forbidden(request.resource, metadata.name or metadata.generateName or "Unknown", why)


def _automounts(account: core_v1.ServiceAccount, spec: core_v1.PodSpec) -> bool:
    """The Pod's word counts more than the account's; nobody's word is yes."""
    for wish in (spec.automountServiceAccountToken, account.automountServiceAccountToken):
        if wish is not None:
            return wish
    return True


def _with_access(pod: core_v1.Pod, suffix: Callable[[], str]) -> core_v1.Pod:
    """Whoever has something mounted there already is left alone."""
    spec = pod.spec
    assert spec is not None
    volumes = spec.volumes or []
    held = next((v.name for v in volumes if v.name.startswith(_VOLUME)), "")
    name = held or _VOLUME + suffix()
    mount = core_v1.VolumeMount(name=name, readOnly=True, mountPath=MOUNT_PATH)
    inits = _mounted(spec.initContainers or (), mount)
    containers = _mounted(spec.containers, mount)
    if inits == (spec.initContainers or []) and containers == spec.containers:
        return pod
    return _with_spec(
        pod,
        volumes=volumes if held else [*volumes, _volume(name)],
        initContainers=inits or spec.initContainers,
        containers=containers,
    )


def _mounted(
    containers: Sequence[core_v1.Container], mount: core_v1.VolumeMount
) -> list[core_v1.Container]:
    return [
        one
        if any(m.mountPath == MOUNT_PATH for m in one.volumeMounts or ())
        else msgspec.structs.replace(one, volumeMounts=[*(one.volumeMounts or ()), mount])
        for one in containers
    ]


def _volume(name: str) -> core_v1.Volume:
    """As a stock server writes it, defaults and all."""
    namespace = core_v1.ObjectFieldSelector(apiVersion="v1", fieldPath="metadata.namespace")
    sources = [
        core_v1.VolumeProjection(
            serviceAccountToken=core_v1.ServiceAccountTokenProjection(
                path="token", expirationSeconds=3607
            )
        ),
        core_v1.VolumeProjection(
            configMap=core_v1.ConfigMapProjection(
                name="kube-root-ca.crt", items=[core_v1.KeyToPath(key="ca.crt", path="ca.crt")]
            )
        ),
        core_v1.VolumeProjection(
            downwardAPI=core_v1.DownwardAPIProjection(
                items=[core_v1.DownwardAPIVolumeFile(path="namespace", fieldRef=namespace)]
            )
        ),
    ]
    projected = core_v1.ProjectedVolumeSource(defaultMode=0o644, sources=sources)
    return core_v1.Volume(name=name, projected=projected)


def _with_spec(pod: core_v1.Pod, **changes: Any) -> core_v1.Pod:
    assert pod.spec is not None
    return msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, **changes))
