"""What each probe promises: how soon a failure is noticed, how long a start may take (spec/health.md 2.2).

A container falls ill between two attempts: at best just before the next, at worst just after the last. The
verdict then needs failureThreshold attempts, a period apart; one that gets no answer takes timeoutSeconds more,
and if that is longer than the period, the next begins when it ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lightkube.models import core_v1

KINDS = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(frozen=True, slots=True)
class Promise:
    """Of one probe; seconds. From a failure to the verdict."""

    path: str
    container: str
    probe: str
    earliest: int
    latest: int
    """Of a failure that is answered at once: a refused connection, a wrong status, an exit code."""
    hang_earliest: int
    hang_latest: int
    """Of one that is not answered at all."""
    text: str


def promises(spec: core_v1.PodSpec, path: str) -> Iterator[Promise]:
    for field, containers in (
        ("initContainers", spec.initContainers),
        ("containers", spec.containers),
    ):
        for index, container in enumerate(containers or ()):
            for kind in KINDS:
                probe = getattr(container, kind)
                if probe is not None:
                    yield _promise(spec, container, kind, probe, f"{path}.{field}[{index}].{kind}")


def _promise(
    spec: core_v1.PodSpec, container: core_v1.Container, kind: str, probe: core_v1.Probe, path: str
) -> Promise:
    period, timeout, threshold = period_of(probe), timeout_of(probe), threshold_of(probe)
    earliest, latest = (threshold - 1) * period, threshold * period
    hang = (threshold - 1) * max(period, timeout) + timeout
    texts = {"startupProbe": _startup, "readinessProbe": _readiness, "livenessProbe": _liveness}
    noticed = (
        f"a failure of {container.name} is noticed after {earliest}-{latest} s, a hang after "
        f"{hang}-{hang + period} s"
    )
    text = texts[kind](spec, container, probe, noticed)
    return Promise(path, container.name, kind, earliest, latest, hang, hang + period, text)


def _startup(
    spec: core_v1.PodSpec, container: core_v1.Container, probe: core_v1.Probe, noticed: str
) -> str:
    least, most = start_allowed(probe)
    return f"{container.name} has {least}-{most} s to start, then it is killed"


def _readiness(
    spec: core_v1.PodSpec, container: core_v1.Container, probe: core_v1.Probe, noticed: str
) -> str:
    again = (probe.successThreshold or 1) * period_of(probe)
    return f"{noticed}: out of service; back within {again} s of being well"


def _liveness(
    spec: core_v1.PodSpec, container: core_v1.Container, probe: core_v1.Probe, noticed: str
) -> str:
    grace = grace_of(spec, probe)
    text = f"{noticed}: killed, and gone up to {grace} s later if it does not heed SIGTERM"
    if container.startupProbe is None:
        least, most = start_allowed(probe)
        text += f"; it has {least}-{most} s to start"
    return text


def start_allowed(probe: core_v1.Probe) -> tuple[int, int]:
    """How long a start may take: surely, and at most. The first attempt comes within a period of the delay."""
    delay = probe.initialDelaySeconds or 0
    most = delay + threshold_of(probe) * period_of(probe)
    return most - period_of(probe), most


def period_of(probe: core_v1.Probe) -> int:
    return probe.periodSeconds or 10


def timeout_of(probe: core_v1.Probe) -> int:
    return probe.timeoutSeconds or 1


def threshold_of(probe: core_v1.Probe) -> int:
    return probe.failureThreshold or 3


def grace_of(spec: core_v1.PodSpec, probe: core_v1.Probe | None = None) -> int:
    """Of the probe if it has its own, else of the Pod."""
    own = probe.terminationGracePeriodSeconds if probe is not None else None
    if own is not None:
        return own
    whole = spec.terminationGracePeriodSeconds
    return 30 if whole is None else whole
