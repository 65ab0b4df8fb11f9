"""terminationGracePeriodSeconds of the Pod and terminationMessagePolicy of its containers. Pure.

Both have defaults, which the API server fills in before anybody can see what the author left out: so there is
no ifAbsent, only ifDefault, which cannot tell a typed 30 from one that was filled in (spec/podpreset.md R9).
"""

from collections.abc import Iterator
from decimal import Decimal

from podward.admission.plugins.pod_preset.model import Document, Preset
from podward.admission.plugins.pod_preset.sections import demands, sleeps
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal
from podward.admission.plugins.pod_preset.sections.places import (
    Place,
    Wish,
    asked,
    object_at,
    wishes,
)

_GRACE = Place(
    sleeps.GRACE_KEY, sleeps.GRACE_KEY, f"spec.{sleeps.GRACE}", sleeps.GRACE, sleeps.GRACE
)
_POLICY = "terminationMessagePolicy"
_DEFAULT_POLICY = "File"


class GracePeriodSection:
    """Before `lifecycle`, whose sleeps must fit into it."""

    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        given = asked(preset, sleeps.GRACE) or {}
        wanted = given.get("value")
        if wanted is None:
            return
        current = sleeps.grace_of(draft.pod)
        shown = (draft.pod.get("spec") or {}).get(sleeps.GRACE)

        def write(pod: Document) -> None:
            object_at(pod, "spec")[sleeps.GRACE] = wanted

        change = demands.Change(
            mode=given.get("mode") or "",
            wanted=Decimal(wanted),
            current=Decimal(current),
            default=Decimal(sleeps.DEFAULT_GRACE),
            there=shown is not None,
        )
        yield demands.weigh(
            _GRACE,
            preset,
            draft,
            change,
            spelled=wanted,
            shown=shown,
            write=write,
            late_bar=sleeps.too_short(wanted, draft) if wanted < current else None,
        )


class MessagePolicySection:
    def proposals(self, preset: Preset, draft: Draft) -> Iterator[Proposal]:
        for wish in wishes(preset, draft, _POLICY):
            yield wish if isinstance(wish, Proposal) else _weigh_policy(wish, preset, draft)


def _weigh_policy(wish: Wish, preset: Preset, draft: Draft) -> Proposal:
    shown = wish.ref.of(draft.pod).get(_POLICY)

    def write(pod: Document) -> None:
        wish.ref.of(pod)[_POLICY] = wish.value

    change = demands.Change(
        mode=wish.mode,
        wanted=wish.value,
        current=shown or _DEFAULT_POLICY,
        default=_DEFAULT_POLICY,
        there=bool(shown),
    )
    return demands.weigh(
        wish.place, preset, draft, change, spelled=wish.value, shown=shown, write=write
    )
