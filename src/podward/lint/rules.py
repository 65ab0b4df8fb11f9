"""Known mistakes, one function a rule, one row in `RULES`. Each says where and why. Pure.

A rule sees one container of a defaulted Pod: what the author left out reads as what the API server makes of it.
An **error** cannot work, a **warning** will hurt one day, an **info** is worth a look.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lightkube.models import core_v1

from podward.lint.commands import (
    hosts,
    is_one_plain_command,
    never_ends,
    programs,
    script_of,
    sleeps,
)
from podward.lint.promises import (
    KINDS,
    grace_of,
    period_of,
    start_allowed,
    threshold_of,
    timeout_of,
)

Severity = Literal["error", "warning", "info"]
LONG_DELAY_SECONDS = 30
IMPATIENT_SECONDS = 10
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
    "mysqladmin",
    "mongo",
    "mongosh",
    "redis-cli",
    "rabbitmqctl",
    "rabbitmq-diagnostics",
    "kubectl",
)
"""Programs whose start alone takes a good part of a second, or a connection."""
SIDE_PORTS = ("metrics", "prometheus", "admin", "debug", "profiling", "pprof")
"""Names of ports that no user of the service comes to."""
_HERE = ("localhost", "127.0.0.1", "[::1]", "::1", "0.0.0.0")
_SHARED_EXEC = 3
"""So many containers with the same exec probe are worth a word."""


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

    @property
    def is_init(self) -> bool:
        """Runs to its end before the others begin: nothing is asked of it."""
        listed = any(one is self.container for one in self.spec.initContainers or ())
        return listed and self.container.restartPolicy != "Always"

    @property
    def policy(self) -> str:
        return self.container.restartPolicy or self.spec.restartPolicy or "Always"

    @property
    def command(self) -> list[str]:
        return [*(self.container.command or ()), *(self.container.args or ())]

    @property
    def probes(self) -> list[tuple[str, core_v1.Probe]]:
        pairs = ((kind, getattr(self.container, kind)) for kind in KINDS)
        return [(kind, probe) for kind, probe in pairs if probe is not None]


Found = Iterator[tuple[Severity, str, str]]
Rule = Callable[[Subject], Found]
"""(severity, field below the container, why)."""


# ------------------------------------------------------------------------------------- liveness, readiness


def same_probe(subject: Subject) -> Found:
    liveness, readiness = subject.container.livenessProbe, subject.container.readinessProbe
    if liveness is None or readiness is None or _question(liveness) != _question(readiness):
        return
    kills, leaves = _patience(liveness), _patience(readiness)
    if kills <= leaves:
        yield (
            "warning",
            "livenessProbe",
            f"asks what readinessProbe asks, and kills after {kills} s what readiness takes out of service "
            f"after {leaves} s: who is only busy is killed before it is left alone; ask less, or raise "
            "failureThreshold",
        )


def _question(probe: core_v1.Probe) -> tuple[object, ...]:
    return probe.exec, probe.httpGet, probe.tcpSocket, probe.grpc


def _patience(probe: core_v1.Probe) -> int:
    return period_of(probe) * threshold_of(probe)


def liveness_asks_for_readiness(subject: Subject) -> Found:
    probe = subject.container.livenessProbe
    path = (probe and probe.httpGet and probe.httpGet.path) or ""
    if re.search(r"(?<![a-z])read(y|iness)", path.lower()):
        yield (
            "warning",
            "livenessProbe.httpGet.path",
            f"{path} tells whether it can serve, not whether it lives: what waits for a database is restarted, "
            "which does not bring the database back",
        )


def no_readiness(subject: Subject) -> Found:
    c = subject.container
    names = [(port.name or "").lower() for port in c.ports or ()]
    served = [name for name in names if not any(side in name for side in SIDE_PORTS)]
    if not served or subject.policy != "Always" or c.readinessProbe is not None:
        return
    if not subject.probes:
        yield (
            "warning",
            "ports",
            "it serves a port and has no probe: it counts as ready before it answers, and hangs unnoticed",
        )
    elif c.startupProbe is None:
        yield (
            "info",
            "ports",
            "it serves a port and has no readinessProbe: it counts as ready from its first moment on, and "
            "while its liveness fails",
        )


def liveness_without_restart(subject: Subject) -> Found:
    for kind in ("livenessProbe", "startupProbe"):
        if getattr(subject.container, kind) is not None and subject.policy == "Never":
            yield (
                "warning",
                kind,
                "restartPolicy is Never: the probe can only end the container, nothing starts it again",
            )


def completed_by_liveness(subject: Subject) -> Found:
    if subject.container.livenessProbe is not None and subject.policy == "OnFailure":
        yield (
            "warning",
            "livenessProbe",
            "restartPolicy is OnFailure: if it exits 0 on SIGTERM, as polite programs do, a restart that "
            "has to wait for back-off does not come, and the container is Completed",
        )


def threshold_of_one(subject: Subject) -> Found:
    probe = subject.container.livenessProbe
    if probe is not None and probe.failureThreshold == 1:
        yield (
            "warning",
            "livenessProbe.failureThreshold",
            f"one lost packet, or one answer slower than {timeout_of(probe)} s, kills the container",
        )


def impatient_liveness(subject: Subject) -> Found:
    probe = subject.container.livenessProbe
    if probe is None or threshold_of(probe) == 1 or probe.exec is not None:
        return
    if timeout_of(probe) == 1 and _patience(probe) < IMPATIENT_SECONDS:
        yield (
            "info",
            "livenessProbe",
            f"{threshold_of(probe)} answers in a row slower than 1 s, {_patience(probe)} s in all, and it is "
            "killed: a busy node or a garbage collection can take as long",
        )


def readiness_threshold_of_one(subject: Subject) -> Found:
    probe = subject.container.readinessProbe
    if probe is not None and probe.failureThreshold == 1:
        yield (
            "info",
            "readinessProbe.failureThreshold",
            f"one answer slower than {timeout_of(probe)} s takes it out of service: it will go up and down",
        )


# ------------------------------------------------------------------------------------------------- starting


def long_delay(subject: Subject) -> Found:
    probe = subject.container.livenessProbe
    delay = (probe and probe.initialDelaySeconds) or 0
    if delay >= LONG_DELAY_SECONDS and subject.container.startupProbe is None:
        yield (
            "warning",
            "livenessProbe.initialDelaySeconds",
            f"a start that hangs goes unnoticed for {delay} s, after every restart: use a startupProbe, which "
            "ends as soon as it has started",
        )


def killed_before_ready(subject: Subject) -> Found:
    """What readiness waits for says how long a start takes."""
    c = subject.container
    if c.livenessProbe is None or c.readinessProbe is None or c.startupProbe is not None:
        return
    allowed, delay = start_allowed(c.livenessProbe)[0], c.readinessProbe.initialDelaySeconds or 0
    if delay > allowed:
        yield (
            "warning",
            "livenessProbe",
            f"readiness is not asked before {delay} s, but liveness may kill what has not started after "
            f"{allowed} s: use a startupProbe",
        )


def delay_beside_startup(subject: Subject) -> Found:
    if subject.container.startupProbe is None:
        return
    for kind, probe in subject.probes:
        delay = probe.initialDelaySeconds or 0
        if delay and kind != "startupProbe":
            yield (
                "info",
                f"{kind}.initialDelaySeconds",
                f"{delay} s are counted from the container's start, not from the startupProbe's success: "
                "whatever takes longer to start never waits for it",
            )


def strict_startup(subject: Subject) -> Found:
    startup, liveness = subject.container.startupProbe, subject.container.livenessProbe
    if startup is None or liveness is None:
        return
    allowed, alone = start_allowed(startup)[1], start_allowed(liveness)[1]
    if allowed < alone:
        yield (
            "info",
            "startupProbe",
            f"allows a start of {allowed} s at most, and livenessProbe alone would allow {alone} s",
        )


# ----------------------------------------------------------------------------------------- what is asked


def unknown_port(subject: Subject) -> Found:
    """A name is looked up when the probe runs: the API server lets any pass (spec/health.md 1.3)."""
    named = {port.name: port.containerPort for port in subject.container.ports or () if port.name}
    numbers = {port.containerPort for port in subject.container.ports or ()}
    for kind, action, port in _ports(subject):
        if isinstance(port, str) and port not in named:
            known = ", ".join(named) or "none"
            yield (
                "error",
                f"{kind}.{action}.port",
                f'no port of this container is named "{port}" (named: {known}): every attempt ends in an '
                "error, which counts neither as success nor as failure",
            )
        elif isinstance(port, int) and numbers and port not in numbers:
            declared = ", ".join(str(number) for number in sorted(numbers))
            yield (
                "info",
                f"{kind}.{action}.port",
                f"asks port {port}, which is not among the container's ports ({declared}): a slip?",
            )


def _ports(subject: Subject) -> Iterator[tuple[str, str, int | str]]:
    for kind, probe in subject.probes:
        if probe.httpGet is not None:
            yield kind, "httpGet", probe.httpGet.port
        if probe.tcpSocket is not None:
            yield kind, "tcpSocket", probe.tcpSocket.port
        if probe.grpc is not None:
            yield kind, "grpc", probe.grpc.port


def another_host(subject: Subject) -> Found:
    for kind, probe in subject.probes:
        for field, host in _asked_hosts(probe):
            from_inside = field == "exec.command"
            if host in _HERE and (from_inside or subject.spec.hostNetwork):
                continue
            if host in _HERE:
                yield (
                    "warning",
                    f"{kind}.{field}",
                    f"{host} is the node, not the container: the kubelet asks from there; leave host out",
                )
                continue
            why = f"asks {host}, not this container: "
            if kind == "readinessProbe":
                why += "when that fails, all that ask it are out of service together"
            else:
                why += "a restart here does not mend what fails there"
            yield "warning", f"{kind}.{field}", why


def _asked_hosts(probe: core_v1.Probe) -> Iterator[tuple[str, str]]:
    if probe.httpGet is not None and probe.httpGet.host:
        yield "httpGet.host", probe.httpGet.host
    if probe.tcpSocket is not None and probe.tcpSocket.host:
        yield "tcpSocket.host", probe.tcpSocket.host
    for host in hosts((probe.exec and probe.exec.command) or ()):
        if not host.startswith("$"):
            yield "exec.command", host


def tcp_liveness_of_http(subject: Subject) -> Found:
    probe = subject.container.livenessProbe
    if probe is None or probe.tcpSocket is None:
        return
    port = probe.tcpSocket.port
    names = {p.containerPort: p.name or "" for p in subject.container.ports or ()}
    speaks = str(port).startswith("http") or names.get(_number(port), "").startswith("http")
    asked = any(p.httpGet is not None and p.httpGet.port == port for _, p in subject.probes)
    if speaks or asked:
        yield (
            "info",
            "livenessProbe.tcpSocket",
            f"port {port} speaks HTTP: the system accepts connections for a server that hangs, so only httpGet "
            "finds that out",
        )


def _number(port: int | str) -> int:
    return port if isinstance(port, int) else -1


def grpc_service(subject: Subject) -> Found:
    for kind, probe in subject.probes:
        if probe.grpc is not None and probe.grpc.service:
            yield (
                "info",
                f"{kind}.grpc.service",
                f'asks for the service "{probe.grpc.service}": a server that has not registered this very name '
                "answers NOT_FOUND, which is a failure",
            )


def timeout_longer_than_period(subject: Subject) -> Found:
    for kind, probe in subject.probes:
        period, timeout = period_of(probe), timeout_of(probe)
        if timeout > period:
            yield (
                "warning",
                f"{kind}.timeoutSeconds",
                f"attempts never overlap: who hangs is asked every {timeout} s, not every {period} s, and "
                f"a hang is noticed after {threshold_of(probe) * timeout} s at the earliest",
            )


# ---------------------------------------------------------------------------------------------- exec probes


def dear_exec(subject: Subject) -> Found:
    for kind, probe in subject.probes:
        command = (probe.exec and probe.exec.command) or []
        dear = next((name for name in programs(command) if name in DEAR_COMMANDS), None)
        if dear is None:
            continue
        if period_of(probe) < 10:
            yield (
                "warning",
                f"{kind}.exec",
                f"starts {dear} every {period_of(probe)} s: what it costs may be more than what it finds; use "
                "httpGet, tcpSocket or grpc, or a longer period",
            )
        if timeout_of(probe) == 1:
            yield (
                "warning",
                f"{kind}.timeoutSeconds",
                f"{dear} may need longer than the default of 1 s on a busy machine, and every time-out "
                "counts as a failure",
            )


def frequent_exec(subject: Subject) -> Found:
    for kind, probe in subject.probes:
        if probe.exec is not None and period_of(probe) == 1:
            yield (
                "info",
                f"{kind}.periodSeconds",
                "starts a process in the container every second, 3600 an hour for each replica",
            )


def shell_for_nothing(subject: Subject) -> Found:
    for kind, probe in subject.probes:
        script = script_of((probe.exec and probe.exec.command) or ())
        if script is not None and is_one_plain_command(script):
            words = ", ".join(script.split())
            yield (
                "info",
                f"{kind}.exec.command",
                f"a shell is started only to start another program: [{words}] does the same",
            )


def shared_exec(subject: Subject) -> Found:
    """Said once, at the first of them."""
    containers = [*(subject.spec.initContainers or ()), *(subject.spec.containers or ())]
    for kind, probe in subject.probes:
        if probe.exec is None:
            continue
        same = [
            c for c in containers if (p := getattr(c, kind)) is not None and p.exec == probe.exec
        ]
        if len(same) >= _SHARED_EXEC and same[0] is subject.container:
            yield (
                "info",
                f"{kind}.exec",
                f"{len(same)} containers run this same command, {len(same) * 60 // period_of(probe)} "
                "processes a minute: does each of them answer for itself?",
            )


# --------------------------------------------------------------------------------------------------- ending


def grace_shorter_than_pre_stop(subject: Subject) -> Found:
    seconds = _hook_seconds(subject)
    grace = grace_of(subject.spec)
    if seconds is None:
        return
    if seconds >= grace:
        yield (
            "error",
            "lifecycle.preStop",
            f"takes {seconds} s of a grace of {grace} s: nothing is left for the container to end by itself",
        )
    for kind, probe in subject.probes:
        own = probe.terminationGracePeriodSeconds
        if own is not None and own <= seconds < grace:
            yield (
                "warning",
                f"{kind}.terminationGracePeriodSeconds",
                f"preStop takes {seconds} s: after a failed probe the container is killed at {own} s, "
                "before it has been told to end",
            )


def _hook_seconds(subject: Subject) -> int | None:
    lifecycle = subject.container.lifecycle
    handler = lifecycle.preStop if lifecycle is not None else None
    if handler is None:
        return None
    if handler.sleep is not None:
        return handler.sleep.seconds
    return sleeps((handler.exec and handler.exec.command) or ())


def shell_that_hides_its_child(subject: Subject) -> Found:
    """A shell as PID 1 hears no SIGTERM unless it traps it, and does not pass it on."""
    script = script_of(subject.command)
    if script is None or "trap " in script or "exec " in script:
        return
    field = "command" if subject.container.command else "args"
    grace = grace_of(subject.spec)
    if is_one_plain_command(script):
        yield (
            "info",
            field,
            f"not every shell replaces itself by its only command: where it stays, SIGTERM is lost and a stop "
            f"takes the whole grace of {grace} s; write `exec`, or name the program directly",
        )
    else:
        yield (
            "warning",
            field,
            f"a shell is PID 1 and does not trap TERM: every stop takes the whole grace of {grace} s and "
            "ends in SIGKILL; `exec` the server, or trap TERM",
        )


def endless_init(subject: Subject) -> Found:
    """Only for init containers that are no sidecars."""
    what = "serves a port" if subject.container.ports else ""
    if never_ends(subject.command):
        what = "does not end"
    if what:
        yield (
            "warning",
            "restartPolicy",
            f"it {what}, and all that comes after waits for its end: a sidecar has restartPolicy Always",
        )


RULES: Mapping[str, Rule] = {
    "liveness-equals-readiness": same_probe,
    "liveness-asks-for-readiness": liveness_asks_for_readiness,
    "port-without-probe": no_readiness,
    "liveness-without-restart": liveness_without_restart,
    "completed-by-liveness": completed_by_liveness,
    "liveness-threshold-of-one": threshold_of_one,
    "impatient-liveness": impatient_liveness,
    "readiness-threshold-of-one": readiness_threshold_of_one,
    "long-delay-instead-of-startup-probe": long_delay,
    "killed-before-ready": killed_before_ready,
    "delay-beside-startup-probe": delay_beside_startup,
    "strict-startup-probe": strict_startup,
    "unknown-port": unknown_port,
    "another-host": another_host,
    "tcp-liveness-of-http": tcp_liveness_of_http,
    "grpc-service": grpc_service,
    "timeout-longer-than-period": timeout_longer_than_period,
    "dear-exec-probe": dear_exec,
    "frequent-exec-probe": frequent_exec,
    "shell-for-nothing": shell_for_nothing,
    "shared-exec-probe": shared_exec,
    "grace-shorter-than-pre-stop": grace_shorter_than_pre_stop,
    "shell-hides-term": shell_that_hides_its_child,
}
"""Of containers that stay: regular ones and sidecars."""

INIT_RULES: Mapping[str, Rule] = {"endless-init": endless_init}
"""Of init containers that run to their end."""


def findings(spec: core_v1.PodSpec, path: str) -> Iterator[Finding]:
    for field, containers in (
        ("initContainers", spec.initContainers),
        ("containers", spec.containers),
    ):
        for index, container in enumerate(containers or ()):
            subject = Subject(spec, container, f"{path}.{field}[{index}]")
            for name, rule in (INIT_RULES if subject.is_init else RULES).items():
                for severity, below, message in rule(subject):
                    yield Finding(name, severity, f"{subject.path}.{below}", message)
