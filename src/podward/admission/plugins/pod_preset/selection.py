"""Which presets reach a Pod, and in which order they are merged. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from podward.admission.plugins.pod_preset.model import (
    EXCLUDE_ANNOTATION,
    MIRROR_ANNOTATION,
    NAMESPACE_OPT_OUT,
    Document,
    Mode,
    Preset,
)

_NEVER = "~"
"""Sorts after every moment: of presets that are not stored."""


def order(preset: Preset) -> tuple[bool, int, str, str, str]:
    """Cluster presets first; then the higher priority, the older, and the name that comes first."""
    return (
        preset.origin != "cluster",
        -preset.priority,
        preset.created or _NEVER,
        preset.name,
        preset.id,
    )


def untouchable(pod: Document) -> bool:
    """Mirror Pods, which a kubelet deletes if they differ from its file, and Pods that opt out."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    return MIRROR_ANNOTATION in annotations or annotations.get(EXCLUDE_ANNOTATION) == "true"


@dataclass(frozen=True, slots=True)
class Selection:
    matched: tuple[Preset, ...] = ()
    """In the order of merging."""
    invalid: tuple[Preset, ...] = ()
    error: str = ""
    """compat: a selector cannot be evaluated, so no Pod of the namespace can be created (spec row F05)."""


def selected(
    presets: "Iterable[Preset] | PresetIndex",
    labels: Mapping[str, str],
    *,
    namespace: str,
    namespace_labels: Mapping[str, str] | None,
    mode: Mode,
) -> Selection:
    """`labels` are the author's."""
    if isinstance(presets, PresetIndex):
        presets = presets.candidates(labels, namespace)
    matched, invalid, unreadable = [], [], []
    for preset in presets:
        if not reaches(preset, namespace, namespace_labels or {}):
            continue
        if preset.selector is None and preset.origin == "settings" and mode == "compat":
            unreadable.append(preset)
        elif preset.selector is None or (preset.problems and mode == "safe"):
            invalid.append(preset)
        elif preset.selector.matches(labels):
            matched.append(preset)
    error = ""
    if unreadable:
        error = f"filtering pod presets failed: {min(unreadable, key=order).selector_error}"
    return Selection(tuple(sorted(matched, key=order)), tuple(sorted(invalid, key=order)), error)


def reaches(preset: Preset, namespace: str, namespace_labels: Mapping[str, str]) -> bool:
    """Whether it is for Pods of this namespace; which of them, its selector says."""
    if preset.origin != "cluster":
        return preset.namespace == namespace
    return namespace_labels.get(NAMESPACE_OPT_OUT) != "disabled" and (
        preset.namespace_selector.matches(namespace_labels)
    )


_Pair = tuple[str, str]


class PresetIndex:
    """A set of presets, prepared for many Pods: not every selector need be tried for each.

    A preset whose selector requires a label to have one value is only looked at for Pods that have it; of
    several such labels, the one that fewest presets ask for. The others are looked at for every Pod of the
    namespace, and those that cannot be evaluated as well: somebody has to say so.
    """

    def __init__(self, presets: Iterable[Preset] = ()) -> None:
        self.presets = tuple(sorted(presets, key=order))
        self._by_pair: dict[str, dict[_Pair, list[Preset]]] = {}
        self._always: dict[str, list[Preset]] = {}
        pairs = {id(preset): _required_pairs(preset) for preset in self.presets}
        asked = Counter(pair for found in pairs.values() for pair in found)
        for preset in self.presets:
            found = pairs[id(preset)]
            if found:
                rarest = min(found, key=lambda pair: (asked[pair], pair))
                of_namespace = self._by_pair.setdefault(preset.namespace, {})
                of_namespace.setdefault(rarest, []).append(preset)
            else:
                self._always.setdefault(preset.namespace, []).append(preset)

    def __iter__(self) -> Iterator[Preset]:
        return iter(self.presets)

    def __len__(self) -> int:
        return len(self.presets)

    def candidates(self, labels: Mapping[str, str], namespace: str | None = None) -> list[Preset]:
        """All that may select a Pod with these labels, and some that do not; of one namespace and of the
        cluster, or of all. In no order."""
        namespaces = {*self._by_pair, *self._always} if namespace is None else {namespace, ""}
        found: list[Preset] = []
        for name in namespaces:
            found += self._always.get(name, ())
            by_pair = self._by_pair.get(name)
            if by_pair:
                for pair in labels.items():
                    found += by_pair.get(pair, ())
        return found


def _required_pairs(preset: Preset) -> list[_Pair]:
    if preset.selector is None or preset.problems:
        return []
    return [
        (requirement.key, value)
        for requirement in preset.selector.requirements
        if requirement.operator == "in" and len(requirement.values) == 1
        for value in requirement.values
    ]
