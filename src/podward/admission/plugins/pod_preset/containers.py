"""Which containers of a Pod a section's `match` chooses, and why not the others. Pure.

The class of an init container with restartPolicy Always is `sidecar`: for probes and hooks it is a container
like the others (spec/podpreset.md W10).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from podward.admission.plugins.pod_preset import earlier
from podward.admission.plugins.pod_preset.model import Document

Kind = Literal["app", "init", "sidecar"]

_LISTS = ("containers", "initContainers")
_IN_WORDS = {"app": "an app container", "init": "an init container", "sidecar": "a sidecar"}


@dataclass(frozen=True, slots=True)
class ContainerRef:
    """One container of a Pod."""

    list: str
    """containers or initContainers."""
    index: int
    name: str
    kind: Kind
    path: str
    """JSON pointer: `/spec/containers/0`."""

    @property
    def key(self) -> str:
        """As it is claimed: `/spec/containers/app`."""
        return f"/spec/{self.list}/{self.name}"

    @property
    def field(self) -> str:
        """For people: `spec.containers[app]`."""
        return f"spec.{self.list}[{self.name}]"

    def of(self, pod: Mapping[str, Any]) -> Document:
        container: Document = pod["spec"][self.list][self.index]
        return container


@dataclass(frozen=True, slots=True)
class NotChosen:
    container: ContainerRef
    reason: str
    """otherName, otherClass, otherImage or noPort: the first that holds."""
    text: str
    """To be read after the container's name: `has no port named http`."""


def containers(pod: Mapping[str, Any], lists: tuple[str, ...] = _LISTS) -> Iterator[ContainerRef]:
    """Every one of the Pod. Ephemeral containers come when it runs, and no preset reaches them."""
    for name in lists:
        for index, container in enumerate((pod.get("spec") or {}).get(name) or ()):
            yield ContainerRef(
                list=name,
                index=index,
                name=container.get("name") or "",
                kind=_kind(name, container),
                path=f"/spec/{name}/{index}",
            )


def chosen(
    match: Mapping[str, Any] | None,
    pod: Mapping[str, Any],
    claims: Mapping[str, str] | None = None,
) -> Iterator[ContainerRef]:
    """Those for which all of `match` holds; all if it says nothing.

    `claims`: of this admission so far. A container that an earlier admission got from a preset whose turn is
    still to come is left out: at this point of that admission it was not there.
    """
    for ref in containers(pod):
        if _why_not(match or {}, ref, pod) is None and not _comes_later(ref, pod, claims):
            yield ref


def not_chosen(match: Mapping[str, Any] | None, pod: Mapping[str, Any]) -> Iterator[NotChosen]:
    for ref in containers(pod):
        why = _why_not(match or {}, ref, pod)
        if why is not None:
            yield NotChosen(ref, *why)


def named_port(container: Mapping[str, Any], port: int | str) -> bool:
    """Whether the container declares it; `port` is a name or a number."""
    field = "containerPort" if isinstance(port, int) else "name"
    return any(declared.get(field) == port for declared in container.get("ports") or ())


def named_container(pod: Mapping[str, Any], name: str) -> ContainerRef | None:
    """The one that has the name, ephemeral ones included: names are unique in a Pod."""
    for ref in containers(pod, (*_LISTS, "ephemeralContainers")):
        if ref.name == name:
            return ref
    return None


def _kind(name: str, container: Mapping[str, Any]) -> Kind:
    if name != "initContainers":
        return "app"
    return "sidecar" if container.get("restartPolicy") == "Always" else "init"


def _comes_later(
    ref: ContainerRef, pod: Mapping[str, Any], claims: Mapping[str, str] | None
) -> bool:
    if claims is None or ref.list != "initContainers":
        return False
    return earlier.put_later(pod, claims, ref.key) is not None


def _why_not(
    match: Mapping[str, Any], ref: ContainerRef, pod: Mapping[str, Any]
) -> tuple[str, str] | None:
    container = ref.of(pod)
    names, images = match.get("names"), match.get("images")
    if names and not _fits_one(names, ref.name):
        return "otherName", f"has a name that fits none of {', '.join(names)}"
    if match.get("class") and match["class"] != ref.kind:
        asked = _IN_WORDS.get(match["class"], match["class"])
        return "otherClass", f"is {_IN_WORDS[ref.kind]}, not {asked}"
    if images and not _fits_one(images, container.get("image") or ""):
        return "otherImage", f"has an image that fits none of {', '.join(images)}"
    for port in match.get("ports") or ():
        number = int(port) if isinstance(port, str) and port.isdecimal() else port
        if not named_port(container, number):
            named = "named " if isinstance(number, str) else ""
            return "noPort", f"has no port {named}{port}"
    return None


def _fits_one(patterns: list[str], text: str) -> bool:
    """`*` and `?` only: a bracket is a bracket."""
    return any(fnmatchcase(text, re.sub(r"\[", "[[]", pattern)) for pattern in patterns)
