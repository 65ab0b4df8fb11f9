"""client-go's correlation, as spec/health.md 7.3 has it."""

from msgspec.structs import replace

from podward.client.event_correlator import (
    AGGREGATE_MESSAGES,
    SPAM_BURST,
    SPAM_REFILL_SECONDS,
    EventCorrelator,
    EventFacts,
)

BASE = EventFacts(
    "kubelet", "node-1", ("v1", "Pod", "default", "web", "uid-1"), "", "Warning", "Unhealthy", "a"
)


class Namer:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        return f"event-{self.count}"


def test_the_same_event_again_is_a_higher_count_of_the_first() -> None:
    correlator, name = EventCorrelator(), Namer()
    counts = []
    for second in range(3):
        said = correlator.correlate(BASE, second, name)
        counts.append((said.sighting.name, said.sighting.count, said.write))
    assert counts == [("event-1", 1, True), ("event-1", 2, True), ("event-1", 3, True)]


def test_another_message_is_another_event() -> None:
    correlator, name = EventCorrelator(), Namer()
    first = correlator.correlate(BASE, 0, name)
    second = correlator.correlate(replace(BASE, message="b"), 0, name)
    assert first.sighting.name != second.sighting.name
    assert second.sighting.count == 1


def test_the_tenth_message_of_a_reason_stands_for_all_that_follow() -> None:
    correlator, name = EventCorrelator(), Namer()
    said, counts = [], []
    for i in range(AGGREGATE_MESSAGES + 2):
        said.append(correlator.correlate(replace(BASE, message=f"m{i}"), i, name))
        counts.append(said[-1].sighting.count)
    assert [s.message for s in said[:9]] == [f"m{i}" for i in range(9)]
    assert [s.message for s in said[9:]] == [
        f"(combined from similar events): m{i}" for i in (9, 10, 11)
    ]
    assert counts[9:] == [1, 2, 3]
    assert len({s.sighting.name for s in said[9:]}) == 1


def test_ten_quiet_minutes_end_an_aggregation() -> None:
    correlator, name = EventCorrelator(), Namer()
    for i in range(AGGREGATE_MESSAGES):
        correlator.correlate(replace(BASE, message=f"m{i}"), 0, name)
    later = correlator.correlate(replace(BASE, message="later"), 601, name)
    assert later.message == "later"


def test_who_says_too_much_is_cut_off_and_gets_a_word_every_five_minutes() -> None:
    correlator, name = EventCorrelator(), Namer()
    written = [correlator.correlate(BASE, 0, name).write for _ in range(SPAM_BURST + 3)]
    assert written == [True] * SPAM_BURST + [False] * 3
    assert correlator.correlate(BASE, SPAM_REFILL_SECONDS, name).write
    assert not correlator.correlate(BASE, SPAM_REFILL_SECONDS, name).write


def test_the_count_goes_on_while_it_is_cut_off() -> None:
    correlator, name = EventCorrelator(), Namer()
    for _ in range(SPAM_BURST + 5):
        said = correlator.correlate(BASE, 0, name)
    assert (said.sighting.count, said.write) == (SPAM_BURST + 5, False)


def test_each_object_has_a_budget_of_its_own() -> None:
    correlator, name = EventCorrelator(), Namer()
    for _ in range(SPAM_BURST + 1):
        correlator.correlate(BASE, 0, name)
    other = replace(BASE, object=("v1", "Pod", "default", "other", "uid-2"))
    assert correlator.correlate(other, 0, name).write
