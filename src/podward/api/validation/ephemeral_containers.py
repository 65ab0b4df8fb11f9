"""Containers added to a Pod that runs (`kubectl debug`): what may be added, and that nothing else changes."""

from lightkube.models import core_v1

from podward.api.errors import FieldError, field_forbidden, field_not_found
from podward.api.validation.pod import container_errors
from podward.machinery.gotext import quote

_PATH = "spec.ephemeralContainers"


def creation_errors(pod: core_v1.Pod) -> list[FieldError]:
    """They come through the subresource of their name, when the Pod is there."""
    if pod.spec is not None and pod.spec.ephemeralContainers:
        return [field_forbidden(_PATH, "cannot be set on create")]
    return []


def update_errors(new: core_v1.Pod, old: core_v1.Pod) -> list[FieldError]:
    assert new.spec is not None
    assert old.spec is not None
    wanted = {container.name: container for container in new.spec.ephemeralContainers or ()}
    found: list[FieldError] = []
    for held in old.spec.ephemeralContainers or ():
        if held.name not in wanted:
            found.append(_fixed(held.name, "removed"))
        elif wanted[held.name] != held:
            found.append(_fixed(held.name, "changed"))
    others = [*(new.spec.initContainers or ()), *new.spec.containers]
    seen = {container.name for container in others}
    volumes = {volume.name for volume in new.spec.volumes or ()}
    targets = frozenset(seen)
    for index, container in enumerate(new.spec.ephemeralContainers or ()):
        where = f"{_PATH}[{index}]"
        found += container_errors(container, where, volumes, seen, None, ephemeral=True)
        target = container.targetContainerName
        if target and target not in targets:
            found.append(field_not_found(f"{where}.targetContainerName", target))
    return found


def _fixed(name: str, verb: str) -> FieldError:
    return field_forbidden(
        "spec", f"existing ephemeral containers {quote(name)} may not be {verb}\n"
    )
