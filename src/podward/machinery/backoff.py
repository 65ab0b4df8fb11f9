"""The ladder of waits between restarts, as CrashLoopBackOff climbs it (spec/health.md 4.4).

Two things set it apart from an ordinary exponential back-off. The wait is measured from the *end* of the
last run, not from when somebody noticed. And the ladder is reset by a long run: if the instance ended more
than `expiry` after the last restart was decided, the past is forgotten.

All times are epoch seconds, all durations seconds. Nothing here reads a clock.
"""

from dataclasses import dataclass

# Epoch seconds carry about a tenth of a microsecond; a timer set for "the rest" must not find a rest left.
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class _Entry:
    backoff: float
    last_update: float


class Backoff:
    """Waits by key, held in memory only: whoever restarts the kubelet starts every ladder anew."""

    def __init__(
        self, initial: float = 10.0, maximum: float = 300.0, expiry: float = 600.0
    ) -> None:
        self._initial = min(initial, maximum)
        self._maximum = maximum
        self._expiry = expiry
        self._entries: dict[str, _Entry] = {}

    def current(self, key: str) -> float:
        """The wait that applies after the next exit, and is named in the message; 0 if none is known."""
        entry = self._entries.get(key)
        return entry.backoff if entry else 0.0

    def delay_remaining(self, key: str, finished_at: float, now: float) -> float:
        """How long an instance that ended at `finished_at` must still wait; 0 means it may start."""
        entry = self._live(key, finished_at)
        if entry is None:
            return 0.0
        remaining = entry.backoff - (now - finished_at)
        return remaining if remaining > _ROUNDING else 0.0

    def remaining_since_update(self, key: str, now: float) -> float:
        """The wait counted from the last failure itself, as image pulls count it; 0 means try again."""
        entry = self._entries.get(key)
        if entry is None:
            return 0.0
        remaining = entry.last_update + entry.backoff - now
        return remaining if remaining > _ROUNDING else 0.0

    def advance(self, key: str, now: float, finished_at: float) -> None:
        """A restart was decided at `now` for an instance that ended at `finished_at`: one rung up."""
        entry = self._live(key, finished_at)
        backoff = min(2 * entry.backoff, self._maximum) if entry else self._initial
        self._entries[key] = _Entry(backoff, now)

    def collect(self, now: float) -> None:
        """Forget keys that nobody has advanced for longer than the expiry."""
        self._entries = {
            key: entry
            for key, entry in self._entries.items()
            if now - entry.last_update <= self._expiry
        }

    def _live(self, key: str, finished_at: float) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None or finished_at - entry.last_update > self._expiry:
            return None
        return entry


def go_duration(seconds: float) -> str:
    """A duration the way Go prints one: `10s`, `1m20s`, `5m0s`, `1.5s`, `250ms`."""
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
