"""Volumes and where they are mounted. Pure; the order of the rules is the order of a server's errors."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from lightkube.models import core_v1

from podward.api.defaults import volume_sources
from podward.api.errors import (
    FieldError,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from podward.api.validation.names import dns_label
from podward.machinery.quantity import QuantityError, parse_quantity

_SOURCES: tuple[str, ...] = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs",
    "iscsi", "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte",
    "downwardAPI", "fc", "flexVolume", "configMap", "azureFile", "vsphereVolume",
    "photonPersistentDisk", "portworxVolume", "azureDisk", "storageos", "projected", "scaleIO",
    "csi", "ephemeral", "image",
)  # fmt: skip
"""The order in which a server looks for them: of several the first is taken, the others are too many."""

_NEEDED: dict[str, tuple[str, ...]] = {
    "hostPath": ("path",),
    "gitRepo": ("repository",),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "secret": ("secretName",),
    "nfs": ("server", "path"),
    "iscsi": ("targetPortal", "iqn"),
    "glusterfs": ("endpoints", "path"),
    "persistentVolumeClaim": ("claimName",),
    "rbd": ("monitors", "image"),
    "cinder": ("volumeID",),
    "cephfs": ("monitors",),
    "flexVolume": ("driver",),
    "configMap": ("name",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "csi": ("driver",),
    "ephemeral": ("volumeClaimTemplate",),
}
"""Source -> what it cannot be without."""

_HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate",
    "Socket",
)  # fmt: skip
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIONS = ("Disabled", "Enabled", "IfPossible")


def volumes_errors(
    volumes: Sequence[core_v1.Volume], path: str
) -> tuple[list[FieldError], set[str]]:
    """What is wrong, and the names of those volumes that are right: only these can be mounted."""
    found: list[FieldError] = []
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        wrong = _source_errors(volume, where)
        if not volume.name:
            wrong.append(field_required(f"{where}.name"))
        else:
            problems = dns_label(volume.name)
            wrong += [field_invalid(f"{where}.name", volume.name, p) for p in problems]
        if volume.name in names:
            wrong.append(field_duplicate(f"{where}.name", volume.name))
        if not wrong:
            names.add(volume.name)
        found += wrong
    return found, names


def _source_errors(volume: core_v1.Volume, path: str) -> list[FieldError]:
    given = sorted(volume_sources(volume), key=_SOURCES.index)
    found: list[FieldError] = []
    if given:
        found += _one_source_errors(given[0], getattr(volume, given[0]), f"{path}.{given[0]}")
    detail = "may not specify more than 1 volume type"
    return found + [field_forbidden(f"{path}.{extra}", detail) for extra in given[1:]]


def _one_source_errors(name: str, source: Any, path: str) -> list[FieldError]:
    needed = _NEEDED.get(name, ())
    found = [field_required(f"{path}.{f}") for f in needed if not getattr(source, f)]
    if name == "emptyDir":
        found += _size_limit_errors(source.sizeLimit, f"{path}.sizeLimit")
    elif name == "hostPath":
        found += _host_path_errors(source, path)
    elif name == "nfs" and source.path and not source.path.startswith("/"):
        found.append(field_invalid(f"{path}.path", source.path, "must be an absolute path"))
    elif name in ("secret", "configMap", "downwardAPI", "projected"):
        mode = source.defaultMode
        if mode is not None and not 0 <= mode <= 0o777:
            found.append(field_invalid(f"{path}.defaultMode", mode, _MODE))
        if name == "projected":
            found += _projected_errors(source, path)
        for index, item in enumerate(getattr(source, "items", None) or ()):
            found += _file_errors(item, f"{path}.items[{index}]")
    return found


def _projected_errors(projected: core_v1.ProjectedVolumeSource, path: str) -> list[FieldError]:
    """Two sources must not name one path. Those that name none give all their keys: of these the later wins."""
    found: list[FieldError] = []
    taken: set[str] = set()
    for index, part in enumerate(projected.sources or ()):
        where = f"{path}.sources[{index}]"
        for kind, source in (("secret", part.secret), ("configMap", part.configMap)):
            if source is None:
                continue
            if not source.name:
                found.append(field_required(f"{where}.{kind}.name"))
            for number, item in enumerate(source.items or ()):
                found += _file_errors(item, f"{where}.{kind}.items[{number}]")
                found += _taken_errors(item.path, source.name or "", taken, path)
        if part.downwardAPI is not None:
            for number, file in enumerate(part.downwardAPI.items or ()):
                found += _file_errors(file, f"{where}.downwardAPI.items[{number}]")
                found += _taken_errors(file.path, file.path, taken, path)
        if part.serviceAccountToken is not None:
            found += _token_errors(part.serviceAccountToken, where, path)
        if part.clusterTrustBundle is not None:
            found += _trust_bundle_errors(part.clusterTrustBundle, f"{where}.clusterTrustBundle")
        given = [f for f in part.__struct_fields__ if getattr(part, f) is not None]
        if len(given) > 1:
            found.append(field_forbidden(where, "may not specify more than 1 volume type"))
    return found


def _token_errors(
    token: core_v1.ServiceAccountTokenProjection, where: str, path: str
) -> list[FieldError]:
    """What is wrong with its file is told of the whole volume, as a server does."""
    found = []
    seconds, place = token.expirationSeconds or 0, f"{where}.serviceAccountToken.expirationSeconds"
    if seconds < 600:
        detail = "may not specify a duration less than 10 minutes"
        found.append(field_invalid(place, seconds, detail))
    if seconds > 1 << 32:
        detail = "may not specify a duration larger than 2^32 seconds"
        found.append(field_invalid(place, seconds, detail))
    if not token.path:
        found.append(field_required(f"{path}.path"))
    return found + _file_path_errors(token.path, f"{path}.path")


def _trust_bundle_errors(
    bundle: core_v1.ClusterTrustBundleProjection, path: str
) -> list[FieldError]:
    found = []
    if bundle.name and bundle.signerName:
        found.append(field_invalid(path, None, "only one of name and signerName may be used"))
    elif not (bundle.name or bundle.signerName):
        found.append(field_required(path, "either name or signerName must be specified"))
    if not bundle.path:
        found.append(field_required(f"{path}.path"))
    return found + _file_path_errors(bundle.path, f"{path}.path")


def _taken_errors(file: str, value: str, taken: set[str], path: str) -> list[FieldError]:
    """`value`: what a server shows of the source that comes too late."""
    if file and file in taken:
        return [field_invalid(path, value, "conflicting duplicate paths")]
    taken.add(file)
    return []


def _size_limit_errors(limit: str | None, path: str) -> list[FieldError]:
    if limit is None:
        return []
    try:
        if parse_quantity(limit) >= 0:
            return []
    except QuantityError as error:
        return [field_invalid(path, limit, str(error))]
    return [field_forbidden(path, "SizeLimit field must be a valid resource quantity")]


def _host_path_errors(source: core_v1.HostPathVolumeSource, path: str) -> list[FieldError]:
    found = []
    if ".." in source.path.split("/"):
        found.append(field_invalid(f"{path}.path", source.path, "must not contain '..'"))
    if (source.type or "") not in _HOST_PATH_TYPES:
        found.append(field_not_supported(f"{path}.type", source.type, _HOST_PATH_TYPES))
    return found


def _file_errors(item: Any, path: str) -> list[FieldError]:
    """A key that becomes a file, or a field that does."""
    found = []
    if isinstance(item, core_v1.KeyToPath) and not item.key:
        found.append(field_required(f"{path}.key"))
    if not item.path:
        found.append(field_required(f"{path}.path"))
    found += _file_path_errors(item.path, f"{path}.path")
    if item.mode is not None and not 0 <= item.mode <= 0o777:
        found.append(field_invalid(f"{path}.mode", item.mode, _MODE))
    return found


def _file_path_errors(file: str, path: str) -> list[FieldError]:
    found = [field_invalid(path, file, problem) for problem in _below(file)]
    if file.startswith("..") and not file.startswith("../") and file != "..":
        found.append(field_invalid(path, file, "must not start with '..'"))
    return found


def _below(text: str) -> Iterator[str]:
    """What keeps `text` from being a path below another."""
    if text.startswith("/"):
        yield "must be a relative path"
    if ".." in text.split("/"):
        yield "must not contain '..'"


def mounts_errors(
    mounts: Sequence[core_v1.VolumeMount],
    volumes: Collection[str],
    path: str,
    *,
    devices: Collection[str] = (),
    privileged: bool = True,
) -> list[FieldError]:
    """`devices`: paths that block devices have in the container. `privileged`: whether it is, or what a
    preset's mount is put into may be. What is wrong with the way below a volume, or with propagation, is told
    of the list: a server leaves the index out."""
    found = []
    taken: set[str] = set()
    for index, mount in enumerate(mounts):
        where = f"{path}[{index}]"
        if not mount.name:
            found.append(field_required(f"{where}.name"))
        if mount.name not in volumes:
            found.append(FieldError("FieldValueNotFound", f"{where}.name", mount.name))
        if not mount.mountPath:
            found.append(field_required(f"{where}.mountPath"))
        if mount.mountPath in taken:
            found.append(field_invalid(f"{where}.mountPath", mount.mountPath, "must be unique"))
        taken.add(mount.mountPath)
        if mount.mountPath in devices:
            detail = "must not already exist in volumeDevices"
            found.append(field_invalid(f"{where}.mountPath", mount.mountPath, detail))
        below = mount.subPath or ""
        found += [field_invalid(f"{path}.subPath", below, p) for p in _below(below)]
        if mount.subPathExpr:
            if mount.subPath:
                detail = "subPathExpr and subPath are mutually exclusive"
                found.append(field_invalid(f"{where}.subPathExpr", mount.subPathExpr, detail))
            below = mount.subPathExpr
            found += [field_invalid(f"{path}.subPathExpr", below, p) for p in _below(below)]
        found += _propagation_errors(mount.mountPropagation, f"{path}.mountPropagation", privileged)
        found += _recursion_errors(mount, f"{path}.recursiveReadOnly")
    return found


def _recursion_errors(mount: core_v1.VolumeMount, path: str) -> list[FieldError]:
    wanted = mount.recursiveReadOnly
    if wanted is None or wanted == "Disabled":
        return []
    if wanted not in _RECURSIONS:
        return [field_not_supported(path, wanted, _RECURSIONS)]
    found = []
    if not mount.readOnly:
        found.append(field_forbidden(path, "may only be specified when readOnly is true"))
    if mount.mountPropagation not in (None, "None"):
        detail = "may only be specified when mountPropagation is None or not specified"
        found.append(field_forbidden(path, detail))
    return found


def _propagation_errors(propagation: str | None, path: str, privileged: bool) -> list[FieldError]:
    if propagation is None:
        return []
    if propagation not in _PROPAGATIONS:
        return [field_not_supported(path, propagation, _PROPAGATIONS)]
    if propagation == "Bidirectional" and not privileged:
        detail = "Bidirectional mount propagation is available only to privileged containers"
        return [field_forbidden(path, detail)]
    return []
