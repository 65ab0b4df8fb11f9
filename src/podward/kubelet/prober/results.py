"""What the probes last concluded about one Pod, by container instance (spec/health.md 2.5)."""

from podward.probes.base import Outcome, ProbeType

INITIAL = {
    ProbeType.LIVENESS: Outcome.SUCCESS,
    ProbeType.READINESS: Outcome.FAILURE,
    ProbeType.STARTUP: Outcome.UNKNOWN,
}
"""Before the first answer: nothing is killed, nothing is ready, nothing is started."""


class Results:
    """(type, bare container ID) -> verdict. Only a change is news."""

    def __init__(self) -> None:
        self.verdicts: dict[ProbeType, dict[str, Outcome]] = {type: {} for type in ProbeType}

    def set(self, type: ProbeType, container_id: str, verdict: Outcome) -> bool:
        """True if this is new or differs from what was known."""
        if self.verdicts[type].get(container_id) is verdict:
            return False
        self.verdicts[type][container_id] = verdict
        return True

    def forget(self, type: ProbeType, container_id: str) -> None:
        self.verdicts[type].pop(container_id, None)
