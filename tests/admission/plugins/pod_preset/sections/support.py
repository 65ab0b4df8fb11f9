"""A small engine for what sections propose: it takes proposals one by one, as `merge.py` does."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from lightkube.models import core_v1

from podward.admission.plugins.pod_preset.model import (
    PROVENANCE_ANNOTATION,
    Document,
    OnConflict,
    Preset,
)
from podward.admission.plugins.pod_preset.sections import SECTIONS
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.errors import FieldError
from podward.api.scheme import SCHEME
from podward.api.validation import creation_errors
from podward.machinery.selectors import LabelSelector

_WRITTEN = ("add", "replace", "raise", "lower")


def preset(name: str = "ops", on_conflict: OnConflict = "KeepPod", /, **spec: Any) -> Preset:
    return Preset(
        origin="namespaced",
        name=name,
        namespace="edge",
        uid=name,
        resource_version="1",
        generation=1,
        created="",
        priority=0,
        on_conflict=on_conflict,
        selector=LabelSelector(),
        selector_error="",
        namespace_selector=LabelSelector(),
        spec=spec,
        spec_hash="0",
    )


def into(match: Any = None, **sections: Any) -> dict[str, Any]:
    """`containers: [...]` of a preset, with one entry."""
    entry = sections if match is None else {"match": match, **sections}
    return {"containers": [entry]}


def pod(*containers: Document, **spec: Any) -> Document:
    """A Pod of such containers, each with a name and an image unless it says otherwise."""
    named = [{"name": f"c{i}", "image": "i:1", **c} for i, c in enumerate(containers or [{}])]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "edge"},
        "spec": {"containers": named, **spec},
    }


def stored(document: Document) -> Document:
    """What an API server makes of it before it calls admission, and again before it calls it a second time."""
    made: Document = _with_new_fields(
        document, msgspec.to_builtins(set_defaults(_decoded(document)))
    )
    return made


def _with_new_fields(sent: Any, made: Any) -> Any:
    """A server that is newer than our Structs keeps what is `new`."""
    if isinstance(sent, dict) and isinstance(made, dict):
        new = {name: value for name, value in sent.items() if name in ("new", "newField")}
        return {name: _with_new_fields(sent.get(name), below) for name, below in made.items()} | new
    if isinstance(sent, list) and isinstance(made, list):
        return [_with_new_fields(s, m) for s, m in zip(sent, made, strict=True)]
    return made


def errors(document: Document) -> list[FieldError]:
    row = SCHEME.of_type(core_v1.Pod)
    return creation_errors(set_defaults(_decoded(document)), row)


def _decoded(document: Document) -> Any:
    return codec.decode_builtins(document, SCHEME.of_type(core_v1.Pod), "Ignore")[0]


@dataclass
class Admission:
    pod: Document
    told: list[tuple[str, Proposal]] = field(default_factory=list)
    """(name of the preset, proposal)"""
    conflicts: list[tuple[str, str, str | None]] = field(default_factory=list)
    """(name of the preset, field, id of the preset that it clashed with)"""

    @property
    def verdicts(self) -> list[tuple[str, str, str]]:
        return [(p.field, p.verdict, p.reason) for _, p in self.told]

    @property
    def only(self) -> Proposal:
        ((_, proposal),) = self.told
        return proposal

    def container(self, index: int = 0, of: str = "containers") -> Document:
        found: Document = self.pod["spec"][of][index]
        return found


class _Skipped(Exception):
    """onConflict SkipAll or SkipPreset."""


def admitted(
    document: Document, *presets: Preset, identical_takes_over: bool = True, checked: bool = False
) -> Admission:
    """`checked`: also that sections change nothing themselves."""
    result = Admission(document)
    draft = Draft(copy.deepcopy(document))
    fields: dict[str, str] = {}
    applied: list[Preset] = []
    for place, one in enumerate(presets):
        draft.to_come = {later.id: later for later in presets[place + 1 :]}
        before = copy.deepcopy((draft.pod, draft.claims, fields))
        try:
            _merge(one, draft, fields, result, identical_takes_over, checked)
        except _Skipped:
            if one.on_conflict == "SkipAll":
                return result
            draft.pod, draft.claims, fields = before
        else:
            applied.append(one)
    _record(draft.pod, fields, applied)
    result.pod = draft.pod
    return result


def _merge(
    one: Preset,
    draft: Draft,
    fields: dict[str, str],
    result: Admission,
    takes_over: bool,
    checked: bool,
) -> None:
    for section in SECTIONS:
        seen = copy.deepcopy(draft) if checked else draft
        for proposal in section.proposals(one, draft):
            assert not checked or draft == seen
            result.told.append((one.name, proposal))
            write = proposal.write if proposal.verdict in _WRITTEN else None
            assert (write is not None) == (proposal.verdict in _WRITTEN)
            if proposal.verdict == "clash":
                write = _clash(one, draft, proposal, result)
            if write is not None:
                write(draft.pod)
                fields[proposal.key] = one.id
            if write is not None or proposal.verdict == "identical":
                _claim(draft, (proposal.key,), one.id, takes_over or write is not None)
            if write is not None or proposal.verdict in ("identical", "keep"):
                _claim(draft, proposal.also, one.id, takes_over)
            seen = copy.deepcopy(draft) if checked else draft


def _clash(one: Preset, draft: Draft, proposal: Proposal, result: Admission) -> Any:
    holder = draft.holder(proposal.key)
    result.conflicts.append((one.name, proposal.field, holder))
    if one.on_conflict in ("SkipAll", "SkipPreset"):
        raise _Skipped
    if one.on_conflict == "Override" and holder is None:
        assert proposal.write is not None, proposal
        return proposal.write
    return None


def _claim(draft: Draft, keys: Sequence[str], by: str, takes_over: bool) -> None:
    for key in keys:
        if takes_over:
            draft.claims[key] = by
        else:
            draft.claims.setdefault(key, by)


def _record(document: Document, fields: dict[str, str], presets: Sequence[Preset]) -> None:
    if not fields:
        return
    annotations = document["metadata"].setdefault("annotations", {})
    held = json.loads(annotations.get(PROVENANCE_ANNOTATION, "{}"))
    annotations[PROVENANCE_ANNOTATION] = json.dumps(
        {
            "fields": held.get("fields", {}) | fields,
            "presets": held.get("presets", {}) | {p.id: p.spec_hash for p in presets},
            "v": 1,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
