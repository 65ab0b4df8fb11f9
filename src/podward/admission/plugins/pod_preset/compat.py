"""Kubernetes 1.19 to the letter, its accidents included (spec/podpreset.md 3). Pure.

All presets are merged at once: first to see whether anything clashes, in which case the Pod gets nothing of
any, then in earnest. What is an accident:

    envFrom is not looked at in the first pass; a clash there empties the container's whole list (Q2), and what
    one preset adds another does not find, so that it comes twice (Q1, Q3);
    mounts are known by their volume's name as well as by their path, so no volume is mounted twice (E06, E08).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from podward.admission.plugins.pod_preset.containers import ContainerRef, containers
from podward.admission.plugins.pod_preset.model import Conflict, Decision, Document, Preset, copied
from podward.admission.plugins.pod_preset.normalise import Item, ListName
from podward.admission.plugins.pod_preset.reporting import ACTIONS, conflict_of, decision_of
from podward.admission.plugins.pod_preset.sections.base import Proposal
from podward.admission.plugins.pod_preset.sections.lists import Spot, held_items, lists_of
from podward.admission.plugins.pod_preset.sections.places import object_at


@dataclass(slots=True)
class Merged:
    conflicts: list[Conflict] = field(default_factory=list)
    """If there are any, the Pod was left alone."""
    decisions: list[Decision] = field(default_factory=list)
    claims: dict[str, str] = field(default_factory=dict)
    """As in `Draft`: key of what a preset put there, or found identical -> its id."""
    fields: dict[str, str] = field(default_factory=dict)
    """The same of what was put there only."""


def merge(pod: Document, presets: Sequence[Preset]) -> Merged:
    """Of presets in the order of merging; `pod` is changed."""
    merged = Merged()
    plans = [
        _Plan(pod, "volumes", None),
        *(_Plan(pod, name, ref) for ref in containers(pod) for name in _IN_CONTAINERS),
    ]
    for plan in plans:
        for preset in presets:
            plan.take(preset)
        if plan.list != "envFrom":
            merged.conflicts += plan.conflicts
    if not merged.conflicts:
        for plan in plans:
            plan.carry_out(merged)
    return merged


_IN_CONTAINERS: tuple[ListName, ...] = ("env", "volumeMounts", "envFrom")


class _Plan:
    """What becomes of one list."""

    def __init__(self, pod: Document, name: ListName, ref: ContainerRef | None) -> None:
        self.list = name
        self.conflicts: list[Conflict] = []
        self._pod, self._ref, self._spot = pod, ref, Spot(name, ref)
        self._held = held_items(pod, name, ref)
        self._added: list[tuple[Preset, Item]] = []
        self._identical: list[tuple[Preset, Item, int]] = []
        self._known: dict[tuple[int, str], tuple[Any, int, Preset | None]] = {}
        """Which identity -> the item, its position, the preset that brought it."""
        for index, item in enumerate(self._held):
            for key in enumerate(_identities(name, item)):
                self._known[key] = (item, index, None)  # of two the later one counts

    def take(self, preset: Preset) -> None:
        for item in lists_of(preset).everywhere.get(self.list, ()):
            for nth, identity in enumerate(_identities(self.list, item.raw)):
                found = self._known.get((nth, identity))
                if found is None:
                    position = len(self._held) + len(self._added)
                    if self.list != "envFrom":
                        self._known[nth, identity] = (item.raw, position, preset)
                    if nth == 0:
                        self._added.append((preset, item))
                elif not item.same_as(found[0], "compat"):
                    self._clash(preset, item, identity, *found)
                elif nth == 0:
                    self._identical.append((preset, item, found[1]))

    def _clash(
        self, preset: Preset, item: Item, identity: str, other: Any, at: int, of: Preset | None
    ) -> None:
        proposal = self._spot.says("clash", identity, at, wanted=item.raw, existing=other)
        holder = of.id if of is not None else None
        self.conflicts.append(conflict_of(preset, proposal, holder, "SkipAll", self._pod))

    def carry_out(self, merged: Merged) -> None:
        if (
            self.conflicts
        ):  # of envFrom: the merge came to nothing, and nothing is what the container gets
            self._erase(merged)
            return
        if self._added:
            holder = object_at(self._pod, "spec") if self._ref is None else self._ref.of(self._pod)
            added = [copied(item.raw) for _, item in self._added]
            holder[self.list] = [*self._held, *added]
        for offset, (preset, item) in enumerate(self._added):
            there = self._spot.says("add", item.identity, len(self._held) + offset)
            merged.fields[there.key] = preset.id
            self._tell(merged, preset, there)
        for preset, item, index in self._identical:
            self._tell(merged, preset, self._spot.says("identical", item.identity, index))

    def _tell(self, merged: Merged, preset: Preset, there: Proposal) -> None:
        merged.claims.setdefault(there.key, preset.id)
        merged.decisions.append(decision_of(preset, there, ACTIONS[there.verdict]))

    def _erase(self, merged: Merged) -> None:
        assert self._ref is not None
        if self._held:
            del self._ref.of(self._pod)[self.list]
        for conflict in self.conflicts:
            merged.decisions.append(
                Decision(
                    preset=conflict.presets[0],
                    path=f"{self._ref.path}/{self.list}",
                    field=f"{self._ref.field}.{self.list}",
                    action="skipped",
                    reason="erased",
                    text=f"{conflict.message}: as in Kubernetes 1.19, the container loses the whole list",
                )
            )


def _identities(name: ListName, item: Any) -> tuple[str, ...]:
    """By each of them it must be new, or the same."""
    if not isinstance(item, dict):
        return ()
    if name == "envFrom":
        return (_source(item),)
    own = str(item.get("name") or "")
    return (own, str(item.get("mountPath") or "")) if name == "volumeMounts" else (own,)


def _source(item: Document) -> str:
    names = [(item.get(ref) or {}).get("name") or "" for ref in ("configMapRef", "secretRef")]
    return "\n".join([item.get("prefix") or "", *names])
