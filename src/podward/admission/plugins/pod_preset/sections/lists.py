"""env, envFrom, volumes and volumeMounts: item by item, each by its identity. Pure.

What a preset has at its top goes to every container and init container, what it has under `containers` to those
that the entry chooses. Items are appended; one that is there stays where it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from podward.admission.plugins.pod_preset.containers import ContainerRef, chosen
from podward.admission.plugins.pod_preset.earlier import put_by
from podward.admission.plugins.pod_preset.model import Document, Preset, copied
from podward.admission.plugins.pod_preset.normalise import (
    LIST_NAMES,
    Item,
    ListName,
    identity,
    items_of,
)
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal, Verdict
from podward.admission.plugins.pod_preset.sections.places import Write, list_at, object_at
from podward.machinery.json_diff import escaped

Items = Mapping[ListName, tuple[Item, ...]]


@dataclass(frozen=True, slots=True)
class PresetLists:
    """All items of a preset, ready to be compared."""

    everywhere: Items
    chosen: tuple[tuple[Mapping[str, Any], Items], ...]
    """Of each entry of `spec.containers` that has any: its `match`, its items."""


def lists_of(preset: Preset) -> PresetLists:
    """Made at the first asking."""
    found = preset.memo.get(__name__)
    if not isinstance(found, PresetLists):
        found = preset.memo[__name__] = _compiled(preset)
    return found


def _compiled(preset: Preset) -> PresetLists:
    entries: Any = () if preset.origin == "settings" else preset.spec.get("containers") or ()
    chosen_items = [(entry.get("match") or {}, _items(entry)) for entry in entries]
    return PresetLists(
        _items(preset.spec), tuple((match, items) for match, items in chosen_items if items)
    )


def _items(holder: Mapping[str, Any]) -> Items:
    found = {name: items_of(name, holder.get(name)) for name in LIST_NAMES}
    return {name: items for name, items in found.items() if items}


class Spot:
    """One list in one place of a Pod: says of its items where they are."""

    def __init__(self, name: ListName, ref: ContainerRef | None) -> None:
        key, path, field = (ref.key, ref.path, ref.field) if ref else ("/spec", "/spec", "spec")
        self._name, self._container = name, ref.name if ref else ""
        self._key, self._path, self._field = f"{key}/{name}/", f"{path}/{name}/", f"{field}.{name}["

    def says(
        self,
        verdict: Verdict,
        identity: str,
        index: int,
        *,
        wanted: Any = None,
        existing: Any = None,
        reason: str = "",
        text: str = "",
        write: Write | None = None,
    ) -> Proposal:
        return Proposal(
            key=self._key + escaped(identity),
            pointer=f"{self._path}{index}",
            field=f"{self._field}{identity}]",
            section=self._name,
            container=self._container,
            identity=identity,
            verdict=verdict,
            wanted=wanted,
            existing=existing,
            reason=reason,
            text=text,
            write=write,
        )


def held_items(pod: Document, name: ListName, ref: ContainerRef | None) -> list[Any]:
    """The list in the Pod, or one that stands for it if it has none."""
    held = (pod.get("spec") or {} if ref is None else ref.of(pod)).get(name)
    return held if isinstance(held, list) else []


class ListSection:
    def __init__(self, name: ListName) -> None:
        self._name = name

    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        lists = lists_of(preset)
        if self._name == "volumes":
            yield from self._weighed(lists.everywhere.get("volumes", ()), preset, draft, None)
            return
        for match, items in (({}, lists.everywhere), *lists.chosen):
            if self._name in items:
                for ref in chosen(match, draft.pod, draft.claims):
                    yield from self._weighed(items[self._name], preset, draft, ref)

    def _weighed(
        self, items: tuple[Item, ...], preset: Preset, draft: Draft, ref: ContainerRef | None
    ) -> Iterator[Proposal]:
        spot = Spot(self._name, ref)
        # Of two with one identity the later one counts: it is the one that the container gets to see.
        held = held_items(draft.pod, self._name, ref)
        at = {identity(self._name, item): index for index, item in enumerate(held)}
        for item in items:
            index = at.get(item.identity)
            if index is not None:
                yield self._compared(spot, item, held[index], draft, ref, index)
                continue
            end, write = len(held), self._appending(item, ref)
            yield spot.says("add", item.identity, end, wanted=item.raw, write=write)
            held = held_items(draft.pod, self._name, ref)
            if len(held) > end:  # the engine let it write
                at[item.identity] = end

    def _compared(
        self,
        spot: Spot,
        item: Item,
        existing: Any,
        draft: Draft,
        ref: ContainerRef | None,
        index: int,
    ) -> Proposal:
        def write(pod: Document) -> None:
            held_items(pod, self._name, ref)[index] = copied(item.raw)

        def says(verdict: Verdict, **why: Any) -> Proposal:
            values: dict[str, Any] = {"wanted": item.raw, "existing": existing}
            return spot.says(verdict, item.identity, index, **values, **why)

        if not item.same_as(existing, "safe"):
            return says("clash", write=write)
        # At this point of an earlier admission it was still the author's, and another: a preset that was left
        # out for that must be left out again.
        same = says("identical")
        replaced_by = draft.to_come.get(put_by(draft.pod, same.key) or "")
        if replaced_by is not None and replaced_by.on_conflict == "Override":
            text = f"what the Pod had before {replaced_by.id} replaced it"
            return says("clash", reason="replacedLater", text=text, write=write)
        return same

    def _appending(self, item: Item, ref: ContainerRef | None) -> Write:
        def write(pod: Document) -> None:
            holder = object_at(pod, "spec") if ref is None else ref.of(pod)
            list_at(holder, self._name).append(copied(item.raw))

        return write


VOLUMES, ENV, ENV_FROM, VOLUME_MOUNTS = (
    ListSection(name) for name in ("volumes", "env", "envFrom", "volumeMounts")
)
