"""How clashes and decisions are told: who, what, where, and never a value. Pure."""

from typing import Any

from podward.admission.plugins.pod_preset.model import (
    Action,
    Conflict,
    Decision,
    Document,
    OnConflict,
    Preset,
)
from podward.admission.plugins.pod_preset.normalise import LIST_NAMES, fingerprint, meaning
from podward.admission.plugins.pod_preset.sections.base import Proposal, Verdict

ACTIONS: dict[Verdict, Action] = {
    "add": "added",
    "replace": "replaced",
    "raise": "raised",
    "lower": "lowered",
    "identical": "identical",
    "keep": "kept",
    "skip": "skipped",
}


def conflict_of(
    preset: Preset, proposal: Proposal, holder: str | None, outcome: OnConflict, pod: Document
) -> Conflict:
    """`holder`: the preset that the other word is of; None if it is the Pod's. `pod`: as it came."""
    return Conflict(
        presets=(preset.id,) if holder is None else (preset.id, holder),
        container=proposal.container,
        list=proposal.section,
        identity=proposal.identity,
        path=proposal.pointer if holder is None and _is_in(pod, proposal.pointer) else "",
        pod_hash=_shown(proposal.section, proposal.existing),
        preset_hash=_shown(proposal.section, proposal.wanted),
        outcome=outcome,
        message=clash_message(preset, proposal, holder),
    )


def clash_message(preset: Preset, proposal: Proposal, holder: str | None) -> str:
    what = f"{proposal.section} {proposal.identity}"
    if proposal.identity == proposal.section:
        what = proposal.section
    if proposal.container:
        what = f"{what} in container {proposal.container}"
    if holder == preset.id:
        return f"{preset.id} contradicts itself about {what}"
    if proposal.reason == "replacedLater":
        return f"{preset.id} wants another value of {what} than {proposal.text}"
    whom = "the Pod has" if holder is None else holder
    return f"{preset.id} wants another value of {what} than {whom}"


def decision_of(
    preset: Preset, proposal: Proposal, action: Action, reason: str = "", text: str = ""
) -> Decision:
    return Decision(
        preset=preset.id,
        path=proposal.pointer,
        field=proposal.field,
        action=action,
        reason=reason or proposal.reason,
        text=text or proposal.text,
    )


def undone(decision: Decision, reason: str, text: str) -> Decision:
    """What would have been written, had it not been for a clash elsewhere."""
    if decision.action in ("identical", "kept", "skipped"):
        return decision
    return Decision(decision.preset, decision.path, decision.field, "skipped", reason, text)


def _shown(section: str, value: Any) -> str:
    if value is None:
        return ""
    for name in LIST_NAMES:
        if name == section:
            return fingerprint(meaning(name, value, "safe"))
    return fingerprint(value)


def _is_in(pod: Any, pointer: str) -> bool:
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(pod, list) and step.isdigit() and int(step) < len(pod):
            pod = pod[int(step)]
        elif isinstance(pod, dict) and step in pod:
            pod = pod[step]
        else:
            return False
    return True
