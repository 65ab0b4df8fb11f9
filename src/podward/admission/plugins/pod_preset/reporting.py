"""How clashes and decisions are told: who, what, where, and never a value. Pure."""

from dataclasses import replace
from typing import Any

from podward.admission.plugins.pod_preset.guard import Broken
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
from podward.machinery.json_diff import unescaped

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
        path=_as_it_came(proposal, pod) if holder is None else "",
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


def undone(decision: Decision, why: str) -> Decision:
    """What would have been written, had it not been for a clash elsewhere."""
    if decision.action in ("identical", "kept", "skipped"):
        return decision
    return replace(decision, action="skipped", reason="clash", text=why)


def invalid_pod(preset: Preset, problem: Broken, outcome: OnConflict) -> Conflict:
    """Not one item, but what all of them make of the Pod."""
    where = f"{problem.field}: " if problem.field else ""
    return Conflict(
        presets=(preset.id,),
        container="",
        list="validation",
        identity=problem.field,
        path="",
        pod_hash="",
        preset_hash="",
        outcome=outcome,
        message=f"{preset.id} would make the Pod invalid: {where}{problem.text}",
    )


def _shown(section: str, value: Any) -> str:
    if value is None:
        return ""
    for name in LIST_NAMES:
        if name == section:
            return fingerprint(meaning(name, value, "safe"))
    return fingerprint(value)


def _as_it_came(proposal: Proposal, pod: Document) -> str:
    """The pointer of what was found, as it was before presets put containers in front; empty if it is new."""
    steps = proposal.pointer.split("/")[1:]
    if proposal.container and len(steps) > 2 and steps[2].isdigit():
        containers = (pod.get("spec") or {}).get(steps[1]) or []
        names = [container.get("name") for container in containers]
        if proposal.container not in names:
            return ""
        steps[2] = str(names.index(proposal.container))
    value: Any = pod
    for step in steps:
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and unescaped(step) in value:
            value = value[unescaped(step)]
        else:
            return ""
    return "/" + "/".join(steps)
