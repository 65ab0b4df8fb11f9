"""What files a Pod's volumes hold, and of which objects they are made. Pure."""

import base64
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lightkube.models import core_v1

from podward.kubelet.environment import ConfigError, field_value, resource_value
from podward.kubelet.restart_policy import init_containers, regular_containers

_MODE = 0o644

Source = tuple[str, str]
"""(`configmap` or `secret`, name)."""
Payload = Mapping[str, bytes]


class VolumeError(Exception):
    """The volume cannot be set up (event `FailedMount`)."""


class SourceUnreachable(VolumeError):
    """Nobody knows what the volume should hold: the API server does not answer."""


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    mode: int
    user: int | None = None
    """Whose it is; None for whoever writes it."""


Objects = Callable[[str, str], core_v1.ConfigMap | core_v1.Secret | None]
"""(`configmap` or `secret`, name) -> the object; None if there is none. May raise `VolumeError`."""


class TokenWish(NamedTuple):
    """A token of the Pod's service account: for whom, and for how long."""

    audience: str
    """Empty for the API server."""
    seconds: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What files may tell beside objects and the Pod itself."""

    pod_ip: str
    node_ip: str
    capacity: Mapping[str, str]
    tokens: Mapping[TokenWish, "str | VolumeError"] = field(default_factory=dict)
    """Or why there is none."""


@dataclass(frozen=True, slots=True)
class Owner:
    """To whom the files of a Pod's volumes are given, where that can be done."""

    user: int | None = None
    """`runAsUser`, if it is the same for all of its containers; only tokens are given to it."""
    group: int | None = None
    """`fsGroup`. Of `fsGroupChangePolicy` nothing depends: it is about volumes that outlive a Pod, and those of
    ours that support a group are made for it."""


NOBODY = Owner()


def owner_of(pod: core_v1.Pod) -> Owner:
    spec = pod.spec
    of_pod = (spec and spec.securityContext) or core_v1.PodSecurityContext()
    users = set()
    for container in (*init_containers(pod), *regular_containers(pod)):
        own = container.securityContext.runAsUser if container.securityContext else None
        users.add(of_pod.runAsUser if own is None else own)
    return Owner(users.pop() if len(users) == 1 else None, of_pod.fsGroup)


def made_of_files(volume: core_v1.Volume) -> bool:
    """Whether the kubelet writes what is in it; such a volume follows its source, and nobody else writes."""
    sources = volume.configMap, volume.secret, volume.downwardAPI, volume.projected
    return any(source is not None for source in sources)


def kept_in_memory(volume: core_v1.Volume) -> bool:
    """What may be secret never comes to a disk, where there is another place."""
    return any(s is not None for s in (volume.secret, volume.downwardAPI, volume.projected))


def references(pod: core_v1.Pod) -> set[Source]:
    """The objects that the files of its volumes come from."""
    found: set[Source] = set()
    for volume in (pod.spec.volumes or ()) if pod.spec else ():
        if volume.configMap is not None:
            found.add(("configmap", volume.configMap.name or ""))
        if volume.secret is not None:
            found.add(("secret", volume.secret.secretName or ""))
        for part in (volume.projected.sources or ()) if volume.projected else ():
            if part.configMap is not None:
                found.add(("configmap", part.configMap.name or ""))
            if part.secret is not None:
                found.add(("secret", part.secret.name or ""))
    return found


def token_wishes(pod: core_v1.Pod) -> set[TokenWish]:
    """The tokens that its volumes hold."""
    return {
        _wish(part.serviceAccountToken)
        for volume in (pod.spec.volumes or () if pod.spec else ())
        for part in (volume.projected.sources or () if volume.projected else ())
        if part.serviceAccountToken is not None
    }


def _wish(source: core_v1.ServiceAccountTokenProjection) -> TokenWish:
    return TokenWish(source.audience or "", source.expirationSeconds or 3600)


def tells_of_its_pod(pod: core_v1.Pod) -> bool:
    """Whether files of its volumes say what the Pod's own fields say."""
    for volume in (pod.spec.volumes or ()) if pod.spec else ():
        parts = (volume.projected.sources or ()) if volume.projected else ()
        if volume.downwardAPI is not None or any(part.downwardAPI is not None for part in parts):
            return True
    return False


def plan_files(
    pod: core_v1.Pod,
    volume: core_v1.Volume,
    objects: Objects,
    facts: Facts,
    owner: Owner = NOBODY,
) -> dict[str, File] | None:
    """Path -> file, for volumes that are made of files; None for the others. `VolumeError`."""
    if volume.configMap is not None:
        source = volume.configMap
        payload = _payload(objects, "configmap", source.name, source.optional)
        return _keyed("configmap", payload, source.items, _mode(source), source.optional)
    if volume.secret is not None:
        secret = volume.secret
        payload = _payload(objects, "secret", secret.secretName, secret.optional)
        return _keyed("secret", payload, secret.items, _mode(secret), secret.optional)
    if volume.downwardAPI is not None:
        return _downward(pod, volume.downwardAPI.items, _mode(volume.downwardAPI), facts)
    if volume.projected is not None:
        return _projected(pod, volume.projected, objects, facts, owner)
    return None


def _mode(
    source: core_v1.ConfigMapVolumeSource
    | core_v1.SecretVolumeSource
    | core_v1.DownwardAPIVolumeSource
    | core_v1.ProjectedVolumeSource,
) -> int:
    """Zero is a mode too."""
    return _MODE if source.defaultMode is None else source.defaultMode


def _projected(
    pod: core_v1.Pod,
    source: core_v1.ProjectedVolumeSource,
    objects: Objects,
    facts: Facts,
    owner: Owner,
) -> dict[str, File]:
    """All sources in one directory; of two that give one path the later wins. All that is wrong is told."""
    files: dict[str, File] = {}
    wrong: list[VolumeError] = []
    for part in source.sources or ():
        try:
            files |= _projection(pod, part, _mode(source), objects, facts, owner)
        except VolumeError as error:
            wrong.append(error)
    unreachable = [error for error in wrong if isinstance(error, SourceUnreachable)]
    if unreachable:
        raise unreachable[0]
    texts = list(dict.fromkeys(str(error) for error in wrong))
    if texts:
        raise VolumeError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    return files


def _projection(
    pod: core_v1.Pod,
    part: core_v1.VolumeProjection,
    mode: int,
    objects: Objects,
    facts: Facts,
    owner: Owner,
) -> dict[str, File]:
    for kind, source in (("configmap", part.configMap), ("secret", part.secret)):
        if source is not None:
            payload = _payload(objects, kind, source.name, source.optional)
            return _keyed(kind, payload, source.items, mode, source.optional)
    if part.downwardAPI is not None:
        return _downward(pod, part.downwardAPI.items, mode, facts)
    if part.serviceAccountToken is not None:
        return _token(part.serviceAccountToken, mode, facts, owner)
    given = [name for name in part.__struct_fields__ if getattr(part, name) is not None]
    raise VolumeError(
        f"projected volumes of configMap, secret, downwardAPI and serviceAccountToken are served; "
        f"{given[0] if given else 'nothing'} is not"
    )


def _token(
    source: core_v1.ServiceAccountTokenProjection, mode: int, facts: Facts, owner: Owner
) -> dict[str, File]:
    """Whoever the Pod runs as reads it, and nobody else if it is known who that is."""
    wish = _wish(source)
    text = facts.tokens.get(wish)
    if text is None:
        raise VolumeError(f"no token for audience {wish.audience!r} was asked for")
    if isinstance(text, VolumeError):
        raise text
    known = owner.user is not None or owner.group is not None
    return {file_path(source.path): File(text.encode(), 0o600 if known else mode, owner.user)}


_ELSEWHERE = {
    "persistentVolumeClaim": "Podward has no PersistentVolumes to bind a claim to",
    "ephemeral": "Podward has no PersistentVolumes to make a claim for",
    "csi": "Podward speaks to no CSI driver",
    "image": "Podward mounts no images",
    "gitRepo": "Podward clones no repositories",
}


def refusal(volume: core_v1.Volume) -> VolumeError:
    """Of a volume that is neither written here nor lies on this machine."""
    name = next((n for n in volume.__struct_fields__ if n != "name" and getattr(volume, n)), "")
    why = _ELSEWHERE.get(name, "Podward mounts nothing from elsewhere")
    served = "emptyDir, hostPath, configMap, secret, downwardAPI and projected volumes are served"
    return VolumeError(f"{name or 'its source'} is not served here: {why}; {served}")


def _payload(objects: Objects, kind: str, name: str | None, optional: bool | None) -> Payload:
    found = objects(kind, name or "")
    if found is None:
        if optional:
            return {}
        raise VolumeError(f'{kind} "{name}" not found')
    if isinstance(found, core_v1.Secret):
        return {key: base64.b64decode(value) for key, value in (found.data or {}).items()}
    texts = {key: text.encode() for key, text in (found.data or {}).items()}
    return texts | {k: base64.b64decode(v) for k, v in (found.binaryData or {}).items()}


_MISSING = {
    "configmap": "configmap references non-existent config key: ",
    "secret": "references non-existent secret key: ",
}


def _keyed(
    kind: str,
    payload: Payload,
    items: Sequence[core_v1.KeyToPath] | None,
    mode: int,
    optional: bool | None,
) -> dict[str, File]:
    if not items:
        return {key: File(data, mode) for key, data in payload.items()}
    files = {}
    for item in items:
        if item.key not in payload:
            if optional:
                continue
            raise VolumeError(_MISSING[kind] + item.key)
        files[file_path(item.path)] = File(payload[item.key], _own(item.mode, mode))
    return files


def _downward(
    pod: core_v1.Pod,
    items: Sequence[core_v1.DownwardAPIVolumeFile] | None,
    mode: int,
    facts: Facts,
) -> dict[str, File]:
    files = {}
    for item in items or ():
        try:
            if item.fieldRef is not None:
                text = field_value(
                    pod, item.fieldRef.fieldPath, pod_ip=facts.pod_ip, node_ip=facts.node_ip
                )
            elif item.resourceFieldRef is not None:
                assert pod.spec is not None
                first = pod.spec.containers[0]
                text = resource_value(pod, first, item.resourceFieldRef, facts.capacity)
            else:
                raise VolumeError(f"downwardAPI file {item.path} names no source")
        except ConfigError as error:
            raise VolumeError(str(error)) from error
        files[file_path(item.path)] = File(text.encode(), _own(item.mode, mode))
    return files


def _own(mode: int | None, default: int) -> int:
    return default if mode is None else mode


def file_path(path: str) -> str:
    """Where a file lies below its volume, written one way. What begins with `..` is the kubelet's own."""
    clean = below(path)
    if clean.startswith("..") or clean == ".":
        raise VolumeError(f"{path}: must be a file's path that does not start with '..'")
    return clean


def below(path: str) -> str:
    """A path that stays below a volume, written one way."""
    if path.startswith("/") or ".." in path.split("/"):
        raise VolumeError(f"{path}: must be a relative path without '..'")
    return posixpath.normpath(path)
