"""Known mistakes, one function a rule, one row in `RULES`. Each says where and why."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lightkube.models import core_v1

from podward.lint.promises import KINDS, grace_of

Severity = Literal["error", "warning"]
LONG_DELAY_SECONDS = 30
DEAR_COMMANDS = (
    "python",
    "python3",
    "java",
    "node",
    "ruby",
    "php",
    "curl",
    "wget",
    "psql",
    "mysql",
    "redis-cli",
)
"""Programs whose start alone takes a good part of a second, or a connection."""


@dataclass(frozen=True, slots=True)
class Finding:
    rule: str
    severity: Severity
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Subject:
    """One container of a Pod, and where it stands in the manifest."""

    spec: core_v1.PodSpec
    container: core_v1.Container
    path: str


Rule = Callable[[Subject], Iterator[tuple[Severity, str, str]]]
"""(severity, field below the container, why)."""


def same_probe(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    c = subject.container
    if c.livenessProbe is None or c.readinessProbe is None:
        return
    if _question(c.livenessProbe) == _question(c.readinessProbe):
        patient = _patience(c.livenessProbe) > _patience(c.readinessProbe)
        if not patient:
            yield (
                "warning",
                "livenessProbe",
                "asks what readinessProbe asks, and is no more patient: a container that is only busy is "
                "killed before it could be left alone; ask less, or raise failureThreshold",
            )


def _question(probe: core_v1.Probe) -> tuple[object, ...]:
    return probe.exec, probe.httpGet, probe.tcpSocket, probe.grpc


def _patience(probe: core_v1.Probe) -> int:
    return (probe.periodSeconds or 10) * (probe.failureThreshold or 3)


def long_delay(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    probe = subject.container.livenessProbe
    delay = (probe and probe.initialDelaySeconds) or 0
    if delay >= LONG_DELAY_SECONDS and subject.container.startupProbe is None:
        yield (
            "warning",
            "livenessProbe.initialDelaySeconds",
            f"a start that hangs goes unnoticed for {delay} s, after every restart: use a startupProbe",
        )


def timeout_longer_than_period(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    for kind, probe in _probes(subject):
        period, timeout = probe.periodSeconds or 10, probe.timeoutSeconds or 1
        if timeout > period:
            yield (
                "warning",
                f"{kind}.timeoutSeconds",
                f"attempts never overlap: with timeoutSeconds {timeout} and periodSeconds {period} a hanging "
                "container is asked less often than it says",
            )


def dear_exec(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    for kind, probe in _probes(subject):
        command = (probe.exec and probe.exec.command) or []
        words = re.findall(r"[\w./-]+", " ".join(command))
        dear = [w.rpartition("/")[2] for w in words if w.rpartition("/")[2] in DEAR_COMMANDS]
        period = probe.periodSeconds or 10
        if dear and period < 10:
            yield (
                "warning",
                f"{kind}.exec",
                f"starts {dear[0]} every {period} s: what it costs may be more than what it finds; use "
                "httpGet, tcpSocket or grpc, or a longer period",
            )
        if dear and (probe.timeoutSeconds or 1) == 1:
            yield (
                "warning",
                f"{kind}.timeoutSeconds",
                f"{dear[0]} may need longer than the default of 1 s on a busy machine, and every time-out "
                "counts as a failure",
            )


def grace_shorter_than_pre_stop(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    lifecycle = subject.container.lifecycle
    handler = lifecycle.preStop if lifecycle is not None else None
    if handler is None:
        return
    grace = grace_of(subject.spec)
    seconds = handler.sleep.seconds if handler.sleep is not None else _sleep(handler.exec)
    if seconds is not None and seconds >= grace:
        yield (
            "error",
            "lifecycle.preStop",
            f"takes {seconds} s of a grace of {grace} s: nothing is left for the container to end by itself",
        )


def _sleep(action: core_v1.ExecAction | None) -> int | None:
    """How long a hook sleeps, if that is what it does."""
    match = re.search(r"\bsleep (\d+)", " ".join((action and action.command) or []))
    return int(match[1]) if match else None


def liveness_without_restart(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    policy = subject.container.restartPolicy or subject.spec.restartPolicy
    if subject.container.livenessProbe is not None and policy == "Never":
        yield (
            "warning",
            "livenessProbe",
            "restartPolicy is Never: the probe can only end the container, nothing starts it again",
        )


def threshold_of_one(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    probe = subject.container.livenessProbe
    if probe is not None and probe.failureThreshold == 1:
        yield (
            "warning",
            "livenessProbe.failureThreshold",
            "one lost packet or one slow second kills the container",
        )


def shell_that_hides_its_child(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    """A shell as PID 1 hears no SIGTERM unless it traps it, and does not pass it on."""
    words = [*(subject.container.command or ()), *(subject.container.args or ())]
    if len(words) < 3 or words[0].rpartition("/")[2] not in ("sh", "bash", "ash", "dash"):
        return
    script = words[2] if words[1].endswith("c") else ""
    if script and not re.search(r"\btrap\b|\bexec\b", script):
        field = "command" if subject.container.command else "args"
        yield (
            "warning",
            field,
            f"a shell is PID 1 and does not trap TERM: every stop takes the whole grace of "
            f"{grace_of(subject.spec)} s and ends in SIGKILL; `exec` the server, or trap TERM",
        )


def no_liveness_of_port(subject: Subject) -> Iterator[tuple[Severity, str, str]]:
    c = subject.container
    if c.ports and not any(probe for _, probe in _probes(subject)):
        yield (
            "warning",
            "ports",
            "it serves a port and has no probe: it counts as ready before it answers, and hangs unnoticed",
        )


def _probes(subject: Subject) -> list[tuple[str, core_v1.Probe]]:
    pairs = ((kind, getattr(subject.container, kind)) for kind in KINDS)
    return [(kind, probe) for kind, probe in pairs if probe is not None]


RULES: Mapping[str, Rule] = {
    "liveness-equals-readiness": same_probe,
    "long-delay-instead-of-startup-probe": long_delay,
    "timeout-longer-than-period": timeout_longer_than_period,
    "dear-exec-probe": dear_exec,
    "grace-shorter-than-pre-stop": grace_shorter_than_pre_stop,
    "liveness-without-restart": liveness_without_restart,
    "liveness-threshold-of-one": threshold_of_one,
    "shell-hides-term": shell_that_hides_its_child,
    "port-without-probe": no_liveness_of_port,
}


def findings(spec: core_v1.PodSpec, path: str) -> Iterator[Finding]:
    for field, containers in (
        ("initContainers", spec.initContainers),
        ("containers", spec.containers),
    ):
        for index, container in enumerate(containers or ()):
            if field == "initContainers" and container.restartPolicy != "Always":
                continue  # it runs to its end: nothing is asked of it
            subject = Subject(spec, container, f"{path}.{field}[{index}]")
            for name, rule in RULES.items():
                for severity, below, message in rule(subject):
                    yield Finding(name, severity, f"{subject.path}.{below}", message)
