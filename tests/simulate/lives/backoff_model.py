"""The restart ladder once more, from the outside (spec/health.md 4.4): it sees starts and exits, nothing else.

What the kubelet's snapshot held when it decided cannot be seen, so the model keeps every state that the ladder
may be in and permits what any of them permits: it never complains of what the rules allow.
"""

from dataclasses import dataclass, field

INITIAL, FACTOR, LIMIT, EXPIRY = 10.0, 2, 300.0, 600.0
SLACK = 0.01
"""Wall-clock seconds as floats, and a timer's rounding."""


@dataclass(frozen=True, slots=True)
class Rung:
    wait: float
    updated: float


State = Rung | None
"""None: no entry exists."""


@dataclass(slots=True)
class Ladder:
    """Of one container of one Pod. All times are the wall clock's."""

    states: set[State] = field(default_factory=lambda: {None})
    exits: list[float] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    """Of what started. A gap: one was made and never started, and pushed out the dead one that was kept."""

    def forget(self) -> None:
        """The kubelet died; and what it knew lived in memory only."""
        self.states = {None}

    def exited(self, at: float) -> None:
        self.exits.append(at)

    def started(self, attempt: int, decided: float, *, killed: bool) -> float:
        """A start was decided; how many seconds too early, 0 if the ladder permits it.

        `killed`: the instance before was the kubelet's to kill, so it may have looked before that one ended.
        After a gap it may have seen no end at all.
        """
        self.attempts.append(attempt)
        if not self.exits:
            return 0.0
        recent = self.attempts[-3:]
        seen: set[float | None] = {self.exits[-1]}
        if killed:
            seen.add(self.exits[-2] if len(self.exits) > 1 else None)
        if recent[-1] - recent[0] >= len(recent):
            seen.add(None)
        after: set[State] = set()
        early = LIMIT
        for state in self.states:
            for finished in seen:
                missing = _missing(state, finished, decided)
                early = min(early, missing)
                if missing <= SLACK:
                    after |= _advanced(state, finished, decided)
        if not after:
            self.states = {None}
            return early
        self.states = after
        return 0.0


def _missing(state: State, finished: float | None, now: float) -> float:
    if state is None or finished is None or finished - state.updated > EXPIRY:
        return 0.0
    if now - state.updated > EXPIRY:  # collected
        return 0.0
    return max(state.wait - (now - finished), 0.0)


def _advanced(state: State, finished: float | None, now: float) -> set[State]:
    if finished is None:
        return {state}  # no exit was seen: the ladder is not touched
    if state is None or finished - state.updated > EXPIRY:
        return {Rung(INITIAL, now)}
    climbed: set[State] = {Rung(min(FACTOR * state.wait, LIMIT), now)}
    return climbed | {Rung(INITIAL, now)} if now - state.updated > EXPIRY else climbed
