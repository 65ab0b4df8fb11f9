"""The engine: a Pod and presets in, the Pod as it will be and the reasons out. Pure.

One pass, preset by preset in the order of merging. Each section of a preset proposes; what it proposes is
weighed against the Pod as the presets before left it. A word of the Pod's author or of an earlier preset that
differs is a clash, and the later preset's `onConflict` says what that leads to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from podward.admission.plugins.pod_preset import compat, provenance
from podward.admission.plugins.pod_preset.guard import broken
from podward.admission.plugins.pod_preset.model import (
    APPLIED_PREFIX,
    PROVENANCE_ANNOTATION,
    Action,
    Conflict,
    Decision,
    Document,
    Mode,
    OnConflict,
    Preset,
    Result,
    copied,
)
from podward.admission.plugins.pod_preset.provenance import Record
from podward.admission.plugins.pod_preset.reporting import (
    ACTIONS,
    conflict_of,
    decision_of,
    invalid_pod,
    undone,
)
from podward.admission.plugins.pod_preset.sections import SECTIONS
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal, Verdict
from podward.admission.plugins.pod_preset.sections.places import object_at
from podward.admission.plugins.pod_preset.selection import (
    PresetIndex,
    Selection,
    selected,
    untouchable,
)
from podward.machinery.json_diff import json_diff

_WRITTEN: frozenset[Verdict] = frozenset({"add", "replace", "raise", "lower"})
_CLAIMED: frozenset[Verdict] = _WRITTEN | {"identical"}


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


@dataclass(slots=True)
class _Story:
    """What has come of the presets so far."""

    applied: list[Preset] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    """Key of what was added or changed -> id of the preset that did."""
    stopped: str = ""
    """The clash (SkipAll) for which the Pod gets nothing of any preset."""
    rejected: str = ""
    """The clash (Reject) for which it is refused."""


class _Admission:
    def __init__(
        self, pod: Document, found: Selection, record: Record, labels: Mapping[str, str]
    ) -> None:
        self._pod, self._found, self._record = pod, found, record
        self._draft = Draft(copied(pod), labels)
        self._story = _Story()

    def result(self, mode: Mode) -> Result:
        presets = list(self._found.matched)
        if mode == "compat":
            presets = self._as_in_1_19(presets)
        for position, preset in enumerate(presets):
            self._draft.to_come = {later.id: later for later in presets[position + 1 :]}
            _Turn(self._pod, self._draft, self._story, preset).take()
        if self._story.rejected or self._story.stopped:
            return self._untouched()
        self._annotate(mode)
        patch = tuple(json_diff(self._pod, self._draft.pod))
        return replace(
            self._told(),
            pod=self._draft.pod if patch else self._pod,
            patch=patch,
            applied=tuple(self._story.applied),
            provenance={**self._record.fields, **self._story.fields},
        )

    def _told(self) -> Result:
        return Result(
            self._pod,
            matched=self._found.matched,
            conflicts=tuple(self._story.conflicts),
            decisions=tuple(self._story.decisions),
            invalid=self._found.invalid,
            provenance=dict(self._record.fields),
            rejected=self._story.rejected,
        )

    def _untouched(self) -> Result:
        why = self._story.rejected or self._story.stopped
        self._story.decisions = [undone(d, why) for d in self._story.decisions]
        return self._told()

    def _as_in_1_19(self, presets: Sequence[Preset]) -> list[Preset]:
        """Merges those of settings.k8s.io; the others are left to do."""
        old = [preset for preset in presets if preset.origin == "settings"]
        merged = compat.merge(self._draft.pod, old)
        self._story.conflicts += merged.conflicts
        self._story.decisions += merged.decisions
        if not merged.conflicts:
            self._story.applied += old
            self._story.fields |= merged.fields
            self._draft.claims |= merged.claims
        return [preset for preset in presets if preset.origin != "settings"]

    def _annotate(self, mode: Mode) -> None:
        applied = self._story.applied
        written = {
            f"{APPLIED_PREFIX}{preset.name}": preset.resource_version
            for preset in applied
            if preset.origin == "settings"
        }
        if any(mode == "safe" or preset.origin != "settings" for preset in applied):
            written[PROVENANCE_ANNOTATION] = provenance.text_of(
                self._record, self._story.fields, applied, self._draft.author_labels
            )
        if written:
            meta = object_at(self._draft.pod, "metadata")
            object_at(meta, "annotations").update(written)


class _Turn:
    """One preset's turn."""

    def __init__(self, pod: Document, draft: Draft, story: _Story, preset: Preset) -> None:
        self._pod, self._draft, self._story, self._preset = pod, draft, story, preset
        self._of_old = preset.origin == "settings"
        """Such a one answers for a clash with SkipAll, so that it alone is never undone; and the Pod that it
        makes is not looked at, as it never was (spec row F10)."""
        self._pod_before = draft.pod if self._of_old else copied(draft.pod)
        self._claims_before = dict(draft.claims)
        self._fields: dict[str, str] = {}
        self._decisions: list[Decision] = []
        self._skipped = ""
        """The clash for which this preset is left out."""
        self._volumes_left_out: set[str] = set()

    def take(self) -> None:
        for section in SECTIONS:
            for proposal in section.proposals(self._preset, self._draft):
                self._weigh(proposal)
        if self._fields and not (self._of_old or self._skipped or self._story.rejected):
            self._validate()
        if self._skipped:
            self._undo()
        else:
            self._story.applied.append(self._preset)
            self._story.fields |= self._fields
        self._story.decisions += self._decisions

    def _weigh(self, proposal: Proposal) -> None:
        verdict = proposal.verdict
        if self._misses_its_volume(proposal):
            text = f"the volume {proposal.wanted['name']} of this preset was left out"
            self._decide(proposal, "skipped", "volumeKept", text)
        elif verdict == "clash":
            self._clash(proposal)
        else:
            if verdict in _WRITTEN:
                self._write(proposal)
            if verdict in _CLAIMED:
                self._claim(proposal.key)
            if verdict != "skip":
                self._claim(*proposal.also)
            self._decide(proposal, ACTIONS[verdict])

    def _clash(self, proposal: Proposal) -> None:
        holder, strategy = self._draft.holder(proposal.key), self._preset.on_conflict
        if self._story.stopped and not self._is_heard(strategy, holder):
            return
        conflict = conflict_of(self._preset, proposal, holder, strategy, self._pod)
        self._story.conflicts.append(conflict)
        if strategy == "KeepPod":
            self._leave_out(proposal, holder, conflict.message)
        elif strategy != "Override":
            self._give_up(strategy, conflict.message)
            self._decide(proposal, "skipped", "clash", conflict.message)
        elif holder is None and proposal.write is not None:
            self._write(proposal)
            self._claim(proposal.key, *proposal.also)
            self._decide(proposal, "replaced")
        else:
            self._leave_out(proposal, holder, conflict.message)

    def _is_heard(self, strategy: OnConflict, holder: str | None) -> bool:
        """The Pod gets nothing of any preset by now. Who else stands for that is told; and who refuses the
        Pod for what its author wrote, still does."""
        return strategy == "SkipAll" or (strategy == "Reject" and holder is None)

    def _give_up(self, strategy: OnConflict, message: str) -> None:
        if strategy == "SkipAll":
            self._story.stopped = self._story.stopped or message
        elif strategy == "Reject":
            self._story.rejected = self._story.rejected or message
        else:
            self._skipped = self._skipped or message

    def _leave_out(self, proposal: Proposal, holder: str | None, message: str) -> None:
        if proposal.section == "volumes":
            self._volumes_left_out.add(proposal.identity)
        if holder is None:
            self._decide(proposal, "kept", "present", message)
        elif holder == self._preset.id:
            self._decide(proposal, "skipped", "earlierEntry", message)
        else:
            self._decide(proposal, "skipped", "higherPriority", message)

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

    def _claim(self, *keys: str) -> None:
        for key in keys:
            self._draft.claims.setdefault(key, self._preset.id)

    def _decide(self, proposal: Proposal, action: Action, reason: str = "", text: str = "") -> None:
        self._decisions.append(decision_of(self._preset, proposal, action, reason, text))

    def _validate(self) -> None:
        """Never an invalid Pod: what this preset broke is a clash of all of it."""
        strategy = self._preset.on_conflict
        if strategy in ("KeepPod", "Override"):
            strategy = "SkipPreset"  # there is no single item that could be left out
        if self._story.stopped and strategy != "SkipAll":
            return
        for problem in broken(self._pod_before, self._draft.pod):
            conflict = invalid_pod(self._preset, problem, strategy)
            self._story.conflicts.append(conflict)
            self._give_up(strategy, conflict.message)

    def _undo(self) -> None:
        self._draft.pod = self._pod_before
        self._draft.claims = self._claims_before
        self._decisions = [undone(decision, self._skipped) for decision in self._decisions]
