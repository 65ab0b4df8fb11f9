"""The restart ladder of spec/health.md 4.4, in numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.backoff import Backoff, go_duration

EPOCH = 1_800_000_000.0


def waits_of_a_crasher(runs_for: float, restarts: int) -> list[float]:
    backoff, now, waits = Backoff(), EPOCH, []
    for _ in range(restarts):
        now += runs_for
        finished = now
        wait = backoff.delay_remaining("c", finished, now)
        now += wait
        waits.append(wait)
        backoff.advance("c", now, finished)
    return waits


def restarts_of_a_hanging_container(cycle: float, count: int) -> list[int]:
    """Killed `cycle` seconds after each start; kill and restart share a turn and its snapshot."""
    backoff, started, seen_exit = Backoff(), EPOCH, None
    restarts: list[int] = []
    while len(restarts) < count:
        killed = started + cycle
        start = killed
        if seen_exit is not None:
            if backoff.delay_remaining("c", seen_exit, killed) > 0:
                start = killed + backoff.delay_remaining("c", killed, killed)
                backoff.advance("c", start, killed)
            else:
                backoff.advance("c", killed, seen_exit)
        seen_exit, started = killed, start
        restarts.append(round(start - EPOCH))
    return restarts


def test_a_fast_crasher_waits_longer_each_time_and_at_most_five_minutes() -> None:
    assert waits_of_a_crasher(0.5, 9) == pytest.approx([0, 10, 20, 40, 80, 160, 300, 300, 300])


def test_the_textbook_liveness_pod_restarts_at_the_known_seconds() -> None:
    expected = [75, 150, 225, 300, 375, 530, 765, 1140, 1215, 1590, 1665, 2040, 2115, 2490]
    assert restarts_of_a_hanging_container(75, 14) == expected


@pytest.mark.parametrize(("ran_for", "next_wait"), [(599.0, 20.0), (600.0, 20.0), (601.0, 10.0)])
def test_only_a_run_of_more_than_ten_minutes_resets_the_ladder(
    ran_for: float, next_wait: float
) -> None:
    backoff = Backoff()
    backoff.advance("c", EPOCH, EPOCH)
    finished = EPOCH + ran_for
    assert backoff.delay_remaining("c", finished, finished) == (0 if ran_for > 600 else 10)
    backoff.advance("c", finished, finished)
    assert backoff.current("c") == next_wait


def test_the_wait_counts_from_the_exit_not_from_when_it_was_noticed() -> None:
    backoff = Backoff()
    backoff.advance("c", EPOCH, EPOCH)
    assert backoff.delay_remaining("c", EPOCH + 5, EPOCH + 8) == pytest.approx(7)
    assert backoff.delay_remaining("c", EPOCH + 5, EPOCH + 15) == 0


def test_collecting_forgets_only_what_nobody_advanced_for_ten_minutes() -> None:
    backoff = Backoff()
    backoff.advance("old", EPOCH, EPOCH)
    backoff.advance("new", EPOCH + 1, EPOCH)
    backoff.collect(EPOCH + 601)
    assert (backoff.current("old"), backoff.current("new")) == (0, 10)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(10, "10s"), (80, "1m20s"), (300, "5m0s"), (3600, "1h0m0s"), (1.5, "1.5s"), (0.25, "250ms")],
)
def test_durations_read_as_in_go(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@given(st.lists(st.floats(0, 2000), max_size=30))
def test_no_wait_exceeds_the_maximum(runs: list[float]) -> None:
    backoff, now = Backoff(), EPOCH
    for run in runs:
        now += run
        wait = backoff.delay_remaining("c", now, now)
        assert 0 <= wait <= 300
        backoff.advance("c", now + wait, now)
        now += wait
