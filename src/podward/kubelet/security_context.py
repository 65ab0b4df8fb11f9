"""Who a container is and what it may: the Pod's wishes and the container's own, made one. Pure.

What a container says goes before what its Pod says, field by field; groups are the Pod's alone, and what a
container may do beyond other processes (capabilities, privileged, its root and /proc) is its own alone.
"""

from typing import Literal, TypeVar, cast

from lightkube.models import core_v1

from podward.kubelet.runtime.base import (
    ImageStatus,
    SecurityContext,
    SecurityProfile,
    SeLinuxOptions,
)

T = TypeVar("T")

_RUNTIME_DEFAULT = SecurityProfile("RuntimeDefault")


class NonRootError(Exception):
    """It would run as root, or might, and must not (waiting reason `CreateContainerConfigError`)."""


def groups_of(pod: core_v1.Pod) -> tuple[int, ...]:
    """The groups that every process of the Pod is in beside its own: fsGroup's first, each once."""
    of_pod = _of_pod(pod)
    first = () if of_pod.fsGroup is None else (of_pod.fsGroup,)
    return tuple(dict.fromkeys((*first, *(of_pod.supplementalGroups or ()))))


def sandbox_security(pod: core_v1.Pod) -> SecurityContext:
    """Of the process that holds the namespaces; it has the engine's seccomp, whatever the Pod asks for."""
    of_pod = _of_pod(pod)
    return SecurityContext(
        run_as_user=of_pod.runAsUser,
        run_as_group=of_pod.runAsGroup,
        supplemental_groups=groups_of(pod),
        strict_groups=of_pod.supplementalGroupsPolicy == "Strict",
        privileged=any(_privileged(container) for container in _all_containers(pod)),
        seccomp=_RUNTIME_DEFAULT,
        selinux=_selinux(of_pod.seLinuxOptions),
    )


def container_security(
    pod: core_v1.Pod, container: core_v1.Container, image: ImageStatus, seccomp_root: str
) -> SecurityContext:
    """`seccomp_root`: the folder in which the profiles of type Localhost lie.

    Whom neither Pod nor container names is whom the image names, and the engine is told so: it takes a group
    only beside a user.
    """
    of_pod, own = _of_pod(pod), container.securityContext or core_v1.SecurityContext()
    capabilities = own.capabilities or core_v1.Capabilities()
    user, name = _first(own.runAsUser, of_pod.runAsUser), ""
    if user is None:
        user, name = image_user(image)
    return SecurityContext(
        run_as_user=user,
        run_as_user_name=name,
        run_as_group=_first(own.runAsGroup, of_pod.runAsGroup),
        supplemental_groups=groups_of(pod),
        strict_groups=of_pod.supplementalGroupsPolicy == "Strict",
        privileged=bool(own.privileged),
        read_only_root=bool(own.readOnlyRootFilesystem),
        no_new_privileges=own.allowPrivilegeEscalation is False,
        add_capabilities=tuple(capabilities.add or ()),
        drop_capabilities=tuple(capabilities.drop or ()),
        seccomp=_seccomp(_first(own.seccompProfile, of_pod.seccompProfile), seccomp_root),
        apparmor=_apparmor(_first(own.appArmorProfile, of_pod.appArmorProfile)),
        selinux=_selinux(_first(own.seLinuxOptions, of_pod.seLinuxOptions)),
        unmasked_proc=own.procMount == "Unmasked",
    )


def verify_non_root(pod: core_v1.Pod, container: core_v1.Container, image: ImageStatus) -> None:
    """Raises `NonRootError` where `runAsNonRoot` forbids what would run."""
    of_pod, own = _of_pod(pod), container.securityContext or core_v1.SecurityContext()
    if not _first(own.runAsNonRoot, of_pod.runAsNonRoot):
        return
    meta = pod.metadata
    assert meta is not None
    where = f'(pod: "{meta.name}_{meta.namespace}({meta.uid})", container: {container.name})'
    wanted = _first(own.runAsUser, of_pod.runAsUser)
    if wanted == 0:
        raise NonRootError(f"container's runAsUser breaks non-root policy {where}")
    if wanted is not None:
        return
    number, name = image_user(image)
    if number == 0:
        raise NonRootError(f"container has runAsNonRoot and image will run as root {where}")
    if name:
        raise NonRootError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is "
            f"non-root {where}"
        )


def image_user(image: ImageStatus) -> tuple[int | None, str]:
    """(number, name), one of which says it; an image that names nobody runs as root."""
    user = image.user.partition(":")[0]
    if not user:
        return 0, ""
    return (int(user), "") if user.isdecimal() else (None, user)


def apparmor_wanted(pod: core_v1.Pod) -> bool:
    """Whether it asks for a profile that only a kernel with AppArmor can enforce."""
    contexts = [_of_pod(pod), *(c.securityContext for c in _all_containers(pod))]
    profiles = [context.appArmorProfile for context in contexts if context is not None]
    return any(profile is not None and profile.type != "Unconfined" for profile in profiles)


def _of_pod(pod: core_v1.Pod) -> core_v1.PodSecurityContext:
    return (pod.spec and pod.spec.securityContext) or core_v1.PodSecurityContext()


def _all_containers(pod: core_v1.Pod) -> list[core_v1.Container]:
    assert pod.spec is not None
    return [*(pod.spec.initContainers or ()), *pod.spec.containers]


def _privileged(container: core_v1.Container) -> bool:
    return bool(container.securityContext and container.securityContext.privileged)


def _first(own: T | None, of_pod: T | None) -> T | None:
    return of_pod if own is None else own


_Kind = Literal["RuntimeDefault", "Unconfined", "Localhost"]


def _seccomp(profile: core_v1.SeccompProfile | None, root: str) -> SecurityProfile | None:
    if profile is None:
        return None
    path = f"{root}/{profile.localhostProfile}" if profile.type == "Localhost" else ""
    return SecurityProfile(cast(_Kind, profile.type), path)


def _apparmor(profile: core_v1.AppArmorProfile | None) -> SecurityProfile | None:
    """Its profiles have names, which the kernel knows."""
    if profile is None:
        return None
    name = (profile.localhostProfile or "") if profile.type == "Localhost" else ""
    return SecurityProfile(cast(_Kind, profile.type), name)


def _selinux(options: core_v1.SELinuxOptions | None) -> SeLinuxOptions | None:
    if options is None:
        return None
    return SeLinuxOptions(
        options.user or "", options.role or "", options.type or "", options.level or ""
    )
