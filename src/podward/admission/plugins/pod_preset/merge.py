"""The engine: a Pod and presets in, the Pod as it will be and the reasons out. Pure.

One pass, preset by preset in the order of merging. Each section of a preset proposes; what it proposes is
weighed against the Pod as the presets before left it. A word of the Pod's author or of an earlier preset that
differs is a clash, and the later preset's `onConflict` says what that leads to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from podward.admission.plugins.pod_preset import compat, provenance
from podward.admission.plugins.pod_preset.guard import broken
from podward.admission.plugins.pod_preset.model import (
    APPLIED_PREFIX,
    PROVENANCE_ANNOTATION,
    Conflict,
    Decision,
    Document,
    Mode,
    Preset,
    Result,
    copied,
)
from podward.admission.plugins.pod_preset.provenance import Record
from podward.admission.plugins.pod_preset.reporting import (
    ACTIONS,
    conflict_of,
    decision_of,
    undone,
)
from podward.admission.plugins.pod_preset.sections import SECTIONS
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.selection import (
    PresetIndex,
    Selection,
    selected,
    untouchable,
)
from podward.machinery.json_diff import json_diff

_WRITTEN = frozenset({"add", "replace", "raise", "lower"})
_CLAIMED = _WRITTEN | {"identical"}


def admit(
    pod: Document,
    presets: Sequence[Preset] | PresetIndex,
    *,
    namespace: str,
    namespace_labels: Mapping[str, str] | None = None,
    mode: Mode = "safe",
) -> Result:
    """What a create of `pod` in `namespace` makes of it. `pod` itself is never changed.

    The request's namespace counts, not the Pod's, which a controller may have left blank (kubernetes#49141).
    """
    if untouchable(pod):
        return Result(pod)
    record = provenance.read(pod)
    labels = provenance.author_labels(pod, record)
    found = selected(
        presets, labels, namespace=namespace, namespace_labels=namespace_labels, mode=mode
    )
    if found.error or not found.matched:
        return Result(pod, invalid=found.invalid, error=found.error, provenance=dict(record.fields))
    return _Admission(pod, found, record, labels).result(mode)


class _Admission:
    def __init__(
        self, pod: Document, found: Selection, record: Record, labels: Mapping[str, str]
    ) -> None:
        self._pod, self._found, self._record = pod, found, record
        self._draft = Draft(copied(pod), labels)
        self._to_come(found.matched)
        self._applied: list[Preset] = []
        self._conflicts: list[Conflict] = []
        self._decisions: list[Decision] = []
        self._fields: dict[str, str] = {}
        self._doomed = ""
        """The clash for which the Pod gets nothing of any preset."""
        self._rejected = ""

    def result(self, mode: Mode) -> Result:
        presets = list(self._found.matched)
        if mode == "compat":
            presets = self._as_in_1_19(presets)
        for position, preset in enumerate(presets):
            self._to_come(presets[position + 1 :])
            _Turn(self, preset).take()
        if self._rejected or self._doomed:
            return self._untouched()
        self._annotate(mode)
        patch = tuple(json_diff(self._pod, self._draft.pod))
        return replace(
            self._told(),
            pod=self._draft.pod if patch else self._pod,
            patch=patch,
            applied=tuple(self._applied),
            provenance={**self._record.fields, **self._fields},
        )

    def _told(self) -> Result:
        return Result(
            self._pod,
            matched=self._found.matched,
            conflicts=tuple(self._conflicts),
            decisions=tuple(self._decisions),
            invalid=self._found.invalid,
            provenance=dict(self._record.fields),
            rejected=self._rejected,
        )

    def _untouched(self) -> Result:
        why = self._rejected or self._doomed
        self._decisions = [undone(decision, "clash", why) for decision in self._decisions]
        return self._told()

    def _as_in_1_19(self, presets: Sequence[Preset]) -> list[Preset]:
        """Merges those of settings.k8s.io; the others are left to do."""
        old = [preset for preset in presets if preset.origin == "settings"]
        merged = compat.merge(self._draft.pod, old)
        self._conflicts += merged.conflicts
        self._decisions += merged.decisions
        if not merged.conflicts:
            self._applied += old
            self._draft.claims |= merged.claims
            self._fields |= merged.fields
        return [preset for preset in presets if preset.origin != "settings"]

    def _to_come(self, presets: Sequence[Preset]) -> None:
        self._draft.to_come = {preset.id: preset for preset in presets}

    def _annotate(self, mode: Mode) -> None:
        written = {
            f"{APPLIED_PREFIX}{preset.name}": preset.resource_version
            for preset in self._applied
            if preset.origin == "settings"
        }
        ours = mode == "safe" or any(preset.origin != "settings" for preset in self._applied)
        if self._applied and ours:
            text = provenance.text_of(self._record, self._fields, self._applied)
            written[PROVENANCE_ANNOTATION] = text
        if written:
            meta = _object(self._draft.pod, "metadata")
            _object(meta, "annotations").update(written)


class _Turn:
    """One preset's turn."""

    def __init__(self, admission: _Admission, preset: Preset) -> None:
        self._of, self._preset = admission, preset
        self._draft = admission._draft
        self._undoable = preset.origin != "settings"
        """The others answer for a clash with SkipAll, after which nothing is left to be undone."""
        self._pod_before = copied(self._draft.pod) if self._undoable else self._draft.pod
        self._claims_before = dict(self._draft.claims)
        self._fields: dict[str, str] = {}
        self._decisions: list[Decision] = []
        self._skipped = ""
        """The clash for which this preset is left out."""
        self._volumes_left_out: set[str] = set()

    def take(self) -> None:
        for section in SECTIONS:
            for proposal in section.proposals(self._preset, self._draft):
                self._weigh(proposal)
        if self._undoable and self._fields and not (self._skipped or self._of._rejected):
            self._validate()
        if self._skipped:
            self._undo()
        elif not self._of._doomed:
            self._of._applied.append(self._preset)
            self._of._fields |= self._fields
        self._of._decisions += self._decisions

    def _weigh(self, proposal: Proposal) -> None:
        if self._misses_its_volume(proposal):
            text = f"the volume {proposal.wanted['name']} of this preset was left out"
            self._decide(proposal, "skipped", "volumeKept", text)
        elif proposal.verdict == "clash":
            self._clash(proposal)
        else:
            if proposal.verdict in _WRITTEN:
                self._write(proposal)
            if proposal.verdict in _CLAIMED:
                self._claim(proposal.key)
            if proposal.verdict in _CLAIMED or proposal.verdict == "keep":
                for key in proposal.also:
                    self._claim(key)
            self._decide(proposal, ACTIONS[proposal.verdict])

    def _clash(self, proposal: Proposal) -> None:
        preset, holder = self._preset, self._draft.holder(proposal.key)
        strategy = preset.on_conflict
        if self._of._doomed and not (
            strategy == "SkipAll" or (strategy == "Reject" and holder is None)
        ):
            return  # what it clashes with may be what the Pod does not get; and it gets nothing of this
        conflict = conflict_of(preset, proposal, holder, strategy, self._of._pod)
        self._of._conflicts.append(conflict)
        match strategy:
            case "SkipAll":
                self._of._doomed = self._of._doomed or conflict.message
                self._decide(proposal, "skipped", "clash", conflict.message)
            case "Reject":
                self._of._rejected = self._of._rejected or conflict.message
                self._decide(proposal, "skipped", "clash", conflict.message)
            case "SkipPreset":
                self._skipped = self._skipped or conflict.message
                self._decide(proposal, "skipped", "clash", conflict.message)
            case "Override" if holder is None and proposal.write is not None:
                self._write(proposal)
                for key in (proposal.key, *proposal.also):
                    self._claim(key)
                self._decide(proposal, "replaced")
            case "Override":
                self._leave_out(proposal)
                self._decide(proposal, "skipped", "higherPriority", conflict.message)
            case "KeepPod":
                self._leave_out(proposal)
                self._decide(
                    proposal, "kept" if holder is None else "skipped", "clash", conflict.message
                )

    def _leave_out(self, proposal: Proposal) -> None:
        if proposal.section == "volumes":
            self._volumes_left_out.add(proposal.identity)

    def _misses_its_volume(self, proposal: Proposal) -> bool:
        return (
            proposal.section == "volumeMounts"
            and isinstance(proposal.wanted, dict)
            and proposal.wanted.get("name") in self._volumes_left_out
        )

    def _write(self, proposal: Proposal) -> None:
        assert proposal.write is not None, f"{proposal.key}: nothing to write"
        proposal.write(self._draft.pod)
        self._fields[proposal.key] = self._preset.id

    def _claim(self, key: str) -> None:
        self._draft.claims.setdefault(key, self._preset.id)

    def _decide(self, proposal: Proposal, action: Any, reason: str = "", text: str = "") -> None:
        self._decisions.append(decision_of(self._preset, proposal, action, reason, text))

    def _validate(self) -> None:
        """Never an invalid Pod: what this preset broke is a clash of all of it."""
        for problem in broken(self._pod_before, self._draft.pod):
            strategy = self._preset.on_conflict
            message = (
                f"{self._preset.id} would make the Pod invalid: {problem.field}: {problem.text}"
            )
            if self._of._doomed and strategy != "SkipAll":
                continue
            self._of._conflicts.append(
                Conflict(
                    presets=(self._preset.id,),
                    container="",
                    list="validation",
                    identity=problem.field,
                    path="",
                    pod_hash="",
                    preset_hash="",
                    outcome=strategy if strategy in ("SkipAll", "Reject") else "SkipPreset",
                    message=message,
                )
            )
            if strategy == "SkipAll":
                self._of._doomed = self._of._doomed or message
            elif strategy == "Reject":
                self._of._rejected = self._of._rejected or message
            else:
                self._skipped = self._skipped or message

    def _undo(self) -> None:
        self._draft.pod = self._pod_before
        self._draft.claims = self._claims_before
        self._decisions = [undone(d, "clash", self._skipped) for d in self._decisions]


def _object(holder: Document, name: str) -> Document:
    if not isinstance(holder.get(name), dict):
        holder[name] = {}
    found: Document = holder[name]
    return found
