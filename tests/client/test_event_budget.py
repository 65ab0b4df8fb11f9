"""Which events count as the same, and who pays for them (client-go's EventCorrelator; spec/health.md 7.3)."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from podward.client.event_correlator import Correlated, EventCorrelator, EventFacts

POD = ("v1", "Pod", "default", "web", "uid-1")
OTHER = ("v1", "Pod", "default", "web", "uid-2")
BASE = EventFacts("kubelet", "node-1", POD, "", "Warning", "Unhealthy", "no")

DIFFERENCES: dict[str, dict[str, Any]] = {
    "component": {"component": "other"},
    "host": {"host": "node-2"},
    "object": {"object": OTHER},
    "field path": {"field_path": "spec.containers{b}"},
    "type": {"type": "Normal"},
    "reason": {"reason": "BackOff"},
    "message": {"message": "still no"},
}


def say(
    correlator: EventCorrelator, events: Iterable[EventFacts], at: float = 0.0
) -> list[Correlated]:
    return [
        correlator.correlate(event, at, partial("event-{}-{}".format, i, at))
        for i, event in enumerate(events)
    ]


def many(count: int) -> list[EventFacts]:
    """Alike but for their message."""
    return [replace(BASE, message=f"m{i}") for i in range(count)]


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_a_difference_makes_another_event(difference: dict[str, Any]) -> None:
    correlator = EventCorrelator()
    (first,) = say(correlator, [BASE])
    (second,) = say(correlator, [replace(BASE, **difference)], at=1)
    assert second.sighting.name != first.sighting.name
    assert (first.sighting.count, second.sighting.count) == (1, 1)


def test_two_events_that_alternate_are_counted_apart() -> None:
    correlator = EventCorrelator()
    other = replace(BASE, reason="BackOff")
    said = say(correlator, [BASE, other, BASE, other, BASE])
    assert said[0].sighting is said[2].sighting is said[4].sighting
    assert (said[0].sighting.count, said[1].sighting.count) == (3, 2)


def test_what_was_seen_first_stays_the_first() -> None:
    correlator = EventCorrelator()
    for moment in (100.0, 200.0, 300.0):
        (said,) = say(correlator, [BASE], at=moment)
    assert said.sighting.first_seen == 100.0


# ---- the spam filter: 25 at once, then one every 300 s, a source, object and type


@pytest.mark.parametrize("part", ["component", "host", "object", "type"])
def test_who_is_not_the_same_has_a_budget_of_its_own(part: str) -> None:
    correlator = EventCorrelator()
    assert not say(correlator, [BASE] * 26)[-1].write
    (said,) = say(correlator, [replace(BASE, **DIFFERENCES[part])])
    assert said.write


@pytest.mark.parametrize("part", ["field path", "reason", "message"])
def test_one_budget_is_for_all_that_is_said_of_an_object(part: str) -> None:
    correlator = EventCorrelator()
    say(correlator, [BASE] * 25)
    (said,) = say(correlator, [replace(BASE, **DIFFERENCES[part])])
    assert not said.write


@pytest.mark.parametrize(
    ("quiet", "words"),
    [(299.0, 0), (300.0, 1), (599.0, 1), (3000.0, 10), (7500.0, 25), (1e6, 25)],
    ids=["299 s", "300 s", "599 s", "50 min", "all refilled", "never more than the burst"],
)
def test_silence_refills_the_budget(quiet: float, words: int) -> None:
    correlator = EventCorrelator()
    say(correlator, [BASE] * 25)
    assert sum(said.write for said in say(correlator, [BASE] * 40, at=quiet)) == words


def test_a_word_refused_costs_nothing() -> None:
    correlator = EventCorrelator()
    say(correlator, [BASE] * 25)
    for moment in range(10, 300, 10):
        assert not say(correlator, [BASE], at=float(moment))[0].write
    assert say(correlator, [BASE], at=300.5)[0].write


def test_a_clock_that_goes_back_refills_nothing() -> None:
    correlator = EventCorrelator()
    say(correlator, [BASE] * 25, at=1000.0)
    assert not say(correlator, [BASE], at=0.0)[0].write


def test_a_liveness_loop_freezes_by_type() -> None:
    """Warnings and normal events end at 25 each, as they do for a Pod that keeps failing its probe."""
    correlator = EventCorrelator()
    written = {"Warning": 0, "Normal": 0}
    for cycle in range(4):
        warnings = [replace(BASE, message="Liveness probe failed")] * 10
        normal = [
            replace(BASE, type="Normal", reason=reason, message=reason)
            for reason in ("Killing", "Pulled", "Created", "Started") * 2
        ]
        for said in say(correlator, warnings, at=cycle * 1.0):
            written["Warning"] += said.write
        for said in say(correlator, normal, at=cycle * 1.0):
            written["Normal"] += said.write
    assert written == {"Warning": 25, "Normal": 25}


# ---- aggregation: ten messages of a reason, none of them more than 600 s after the one before


@pytest.mark.parametrize(("quiet", "folded"), [(600.0, True), (600.5, False)])
def test_the_window_is_ten_minutes_since_the_last(quiet: float, folded: bool) -> None:
    correlator = EventCorrelator()
    say(correlator, many(9))
    (said,) = say(correlator, [replace(BASE, message="tenth")], at=quiet)
    assert said.message == ("(combined from similar events): tenth" if folded else "tenth")


def test_the_window_slides() -> None:
    correlator = EventCorrelator()
    for i, event in enumerate(many(9)):
        say(correlator, [event], at=i * 500.0)
    (said,) = say(correlator, [replace(BASE, message="tenth")], at=9 * 500.0)
    assert said.message == "(combined from similar events): tenth"


def test_nine_messages_said_often_are_not_folded() -> None:
    correlator = EventCorrelator()
    said = say(correlator, many(9) * 3)
    assert [s.message for s in said] == [f"m{i}" for i in range(9)] * 3
    assert [s.sighting.count for s in said[-9:]] == [3] * 9


@pytest.mark.parametrize("part", ["component", "host", "object", "type", "reason"])
def test_only_what_is_similar_is_folded(part: str) -> None:
    correlator = EventCorrelator()
    say(correlator, many(9))
    changed = replace(BASE, message="tenth", **DIFFERENCES[part])
    assert say(correlator, [changed])[0].message == "tenth"


def test_containers_of_a_pod_are_folded_together() -> None:
    """A group leaves the field path out; its event is one for all containers."""
    correlator = EventCorrelator()
    for i, event in enumerate(many(9)):
        say(correlator, [replace(event, field_path=f"spec.containers{{c{i}}}")])
    tenth, next_one = (
        say(correlator, [replace(BASE, message=m, field_path=f"spec.containers{{{m}}}")], at=1)[0]
        for m in ("x", "y")
    )
    assert tenth.message == "(combined from similar events): x"
    assert next_one.sighting is tenth.sighting
    assert next_one.sighting.count == 2


def test_forgetting_the_oldest_of_4096_starts_its_count_again() -> None:
    correlator = EventCorrelator()
    say(correlator, [BASE, BASE])
    others = [replace(BASE, object=("v1", "Pod", "default", f"p{i}", f"u{i}")) for i in range(4096)]
    say(correlator, others)
    assert say(correlator, [others[-1]])[0].sighting.count == 2
    assert say(correlator, [BASE])[0].sighting.count == 1
