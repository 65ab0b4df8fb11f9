"""What each probe promises: how soon a failure is noticed, how long a start may take (spec/health.md 2)."""

from collections.abc import Iterator
from dataclasses import dataclass

from lightkube.models import core_v1

KINDS = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(frozen=True, slots=True)
class Promise:
    """Of one probe; seconds."""

    path: str
    earliest: int
    """From a failure to the verdict, if it happens just before an attempt."""
    latest: int
    """If it happens just after one; an attempt that hangs adds its timeoutSeconds."""
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
                    where = f"{path}.{field}[{index}].{kind}"
                    yield _promise(spec, container, kind, probe, where)


def _promise(
    spec: core_v1.PodSpec, container: core_v1.Container, kind: str, probe: core_v1.Probe, path: str
) -> Promise:
    period, threshold = probe.periodSeconds or 10, probe.failureThreshold or 3
    earliest, latest = (threshold - 1) * period, threshold * period
    delay = probe.initialDelaySeconds or 0
    if kind == "startupProbe":
        budget = delay + threshold * period
        text = f"{container.name} has {budget} s to start, then it is killed"
        return Promise(path, earliest, latest, text)
    noticed = f"a failure of {container.name} is noticed after {earliest}-{latest} s"
    if kind == "readinessProbe":
        again = (probe.successThreshold or 1) * period
        return Promise(path, earliest, latest, f"{noticed}; well again within {again} s")
    grace = grace_of(spec, probe)
    text = f"{noticed}, and it runs again up to {grace} s later if it does not heed SIGTERM"
    if container.startupProbe is None:
        text += f"; it has {delay + threshold * period} s to start"
    return Promise(path, earliest, latest, text)


def grace_of(spec: core_v1.PodSpec, probe: core_v1.Probe | None = None) -> int:
    own = probe.terminationGracePeriodSeconds if probe is not None else None
    if own is not None:
        return own
    whole = spec.terminationGracePeriodSeconds
    return 30 if whole is None else whole
