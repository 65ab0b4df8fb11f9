"""What the probes last concluded, by container instance (spec/health.md 2.5)."""

from collections.abc import Mapping

from podward.probes.base import Outcome, ProbeType

INITIAL = {
    ProbeType.LIVENESS: Outcome.SUCCESS,
    ProbeType.READINESS: Outcome.FAILURE,
    ProbeType.STARTUP: Outcome.UNKNOWN,
}
"""Before the first answer: nothing is killed, nothing is ready, nothing is started."""


class ResultCache:
    """(type, bare container ID) -> verdict. Only a change is news."""

    def __init__(self) -> None:
        self._verdicts: dict[ProbeType, dict[str, Outcome]] = {type: {} for type in ProbeType}

    def set(self, type: ProbeType, container_id: str, verdict: Outcome) -> bool:
        """True if this is new or differs from what was known."""
        if self._verdicts[type].get(container_id) is verdict:
            return False
        self._verdicts[type][container_id] = verdict
        return True

    def forget(self, type: ProbeType, container_id: str) -> None:
        self._verdicts[type].pop(container_id, None)

    def of(self, type: ProbeType) -> Mapping[str, Outcome]:
        """A copy: verdicts at this moment."""
        return dict(self._verdicts[type])
