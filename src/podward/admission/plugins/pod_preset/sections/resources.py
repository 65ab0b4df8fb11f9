"""resources: put in whole, or raised and lowered quantity by quantity. Pure.

A request is never left above its limit: what would do that is skipped and told.
"""

import copy
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from podward.admission.plugins.pod_preset import earlier
from podward.admission.plugins.pod_preset.model import Document, Preset
from podward.admission.plugins.pod_preset.sections import canonical, demands, whole
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import Bar, Wish, object_at, wishes

_GROUPS = ("requests", "limits")
_BOUNDS = ("floor", "ceiling")
Amounts = Mapping[str, Mapping[str, Decimal]]


class ResourcesSection:
    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        """Whole values before quantities: those of one entry may be what another moves."""
        for wish in wishes(preset, draft, "resources"):
            if isinstance(wish, Proposal):
                yield wish
            elif wish.mode not in _BOUNDS and any(wish.value.get(group) for group in _GROUPS):
                yield _weigh_whole(wish, preset, draft)
        for wish in wishes(preset, draft, "resources"):
            if isinstance(wish, Wish) and wish.mode in _BOUNDS:
                yield from _weigh_quantities(wish, preset, draft)


# ---- whole


def _weigh_whole(wish: Wish, preset: Preset, draft: Draft) -> Proposal:
    existing = wish.ref.of(draft.pod).get("resources")
    result = _beside(existing) | copy.deepcopy(wish.value)

    def write(pod: Document) -> None:
        wish.ref.of(pod)["resources"] = copy.deepcopy(result)

    amounts = _amounts(result)
    return whole.weigh(
        wish.place,
        preset,
        draft,
        mode=wish.mode,
        wanted=wish.value,
        existing=existing,
        same=canonical.same(result, existing, canonical.resources),
        absent=not any((existing or {}).get(group) for group in _GROUPS),
        write=write,
        bar=_over(amounts),
        in_the_way=_broken(draft, wish, amounts),
    )


def _beside(existing: Mapping[str, Any] | None) -> Document:
    """What the section does not speak of: the author's claims on devices are no requests."""
    return {n: copy.deepcopy(v) for n, v in (existing or {}).items() if n not in _GROUPS}


def _over(amounts: Amounts) -> Bar | None:
    for name, request in amounts["requests"].items():
        if request > amounts["limits"].get(name, request):
            return Bar("aboveLimit", f"the request of {name} would be higher than its limit")
    return None


def _broken(draft: Draft, wish: Wish, amounts: Amounts) -> str | None:
    """A floor or ceiling of another preset that these amounts would not heed."""
    for rest, claim, demand in demands.noted_below(draft, wish.place.key):
        group, _, escaped = rest.partition("/")
        name = escaped.replace("~1", "/").replace("~0", "~")
        amount = amounts.get(group, {}).get(name)
        if amount is None or not demand.met(amount):
            return claim
    return None


# ---- quantity by quantity


def _weigh_quantities(wish: Wish, preset: Preset, draft: Draft) -> Iterator[Proposal]:
    """Limits are raised before requests and lowered after them, so that both can be moved in one preset."""
    for group in _GROUPS if wish.mode == "ceiling" else reversed(_GROUPS):
        for name, text in (wish.value.get(group) or {}).items():
            amounts = _amounts(wish.ref.of(draft.pod).get("resources"))
            current, wanted = amounts[group].get(name), canonical.quantity(text)
            if current is not None and wanted is not None:
                yield _weigh_quantity(wish, preset, draft, group, name, amounts, wanted)


def _weigh_quantity(
    wish: Wish,
    preset: Preset,
    draft: Draft,
    group: str,
    name: str,
    amounts: Amounts,
    wanted: Decimal,
) -> Proposal:
    text = wish.value[group][name]
    place = wish.place.below(group, name)
    existing: Mapping[str, Any] = wish.ref.of(draft.pod).get("resources") or {}

    def write(pod: Document) -> None:
        resources = object_at(wish.ref.of(pod), "resources")
        limit = (resources.get("limits") or {}).get(name)
        if group == "limits" and name not in (resources.get("requests") or {}):
            # The server took the limit for the request as well, and did so before.
            object_at(resources, "requests")[name] = limit
        object_at(resources, group)[name] = text

    return demands.weigh(
        place,
        preset,
        draft,
        demands.Change(
            mode=wish.mode,
            wanted=wanted,
            current=amounts[group][name],
            default=None,
            there=True,
        ),
        spelled=text,
        shown=(existing.get(group) or {}).get(name),
        write=write,
        held=wish.place.key if draft.holder(wish.place.key) is not None else None,
        late_bar=_late_bar(wish, preset, draft, group, name, amounts, wanted),
    )


def _late_bar(
    wish: Wish,
    preset: Preset,
    draft: Draft,
    group: str,
    name: str,
    amounts: Amounts,
    wanted: Decimal,
) -> Bar | None:
    request, limit = amounts["requests"].get(name), amounts["limits"].get(name)
    if group == "requests" and limit is not None and wanted > limit:
        return Bar("aboveLimit", f"the request of {name} would be higher than its limit")
    if group == "limits" and request is not None and wanted < request:
        return Bar("belowRequest", f"the limit of {name} would be lower than its request")
    for side in _GROUPS:
        key = wish.place.below(side, name).key
        later = earlier.put_later(draft.pod, draft.claims, key, preset.id)
        if later:
            return Bar(
                "laterPreset", f"the {side} of {name} are those of {later}, which comes later"
            )
    return None


def _amounts(resources: Mapping[str, Any] | None) -> Amounts:
    """Of what can be read, as the server completes it: a limit without a request is a request as well."""
    given = {
        group: {
            name: amount
            for name, text in ((resources or {}).get(group) or {}).items()
            if (amount := canonical.quantity(text)) is not None
        }
        for group in _GROUPS
    }
    return {"requests": {**given["limits"], **given["requests"]}, "limits": given["limits"]}
