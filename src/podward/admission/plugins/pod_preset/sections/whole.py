"""Values that are put in whole: probes, hooks, affinity, resources. Pure.

ifAbsent adds where the author has none, override replaces all of what is there: a probe's old handler never
stays beside the new one.
"""

from typing import Any

from podward.admission.plugins.pod_preset.model import Preset
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import Bar, Place, Write


def weigh(
    place: Place,
    preset: Preset,
    draft: Draft,
    *,
    mode: str,
    wanted: Any,
    existing: Any,
    same: bool,
    absent: bool,
    write: Write,
    bar: Bar | None = None,
    late_bar: Bar | None = None,
    in_the_way: str | None = None,
) -> Proposal:
    """`bar` is of what no preset changes (the container's class, its ports); `late_bar` of what presets that
    come later may change, and so is asked last: a clash must be one in the next admission as well.

    `in_the_way`: key of a claim on a part of `existing` that `wanted` would break.
    """
    values: dict[str, Any] = {"wanted": wanted, "existing": existing}
    if same:
        return place.says("identical", **values)
    if bar is not None:
        return place.says("skip", *bar, **values)
    claim = place.key if draft.holder(place.key) is not None else None
    if claim is None and mode == "override":
        claim = in_the_way
    if claim is not None and not absent:
        return contradiction(place, preset, draft, claim, **values)
    if not absent and mode != "override":
        return place.says("keep", "present", f"the Pod has its own {place.section}", **values)
    if late_bar is not None:
        return place.says("skip", *late_bar, **values)
    return place.says("add" if absent else "replace", write=write, **values)


def contradiction(
    place: Place, preset: Preset, draft: Draft, claim: str, **values: Any
) -> Proposal:
    """`claim` stands against it: a clash, or, if it is this very preset's, the first word that holds."""
    holder = draft.holder(claim)
    if holder == preset.id:
        text = f"an earlier entry of this preset speaks of {place.field}, too"
        return place.says("keep", "earlierEntry", text, **values)
    text = f"{holder} wants something else in {place.field}"
    return place.says("clash", "otherPreset", text, key=claim, **values)
