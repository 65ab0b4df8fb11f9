"""The words of a probe attempt (spec/health.md sections 2.4 and 3).

A mechanism is a module with one coroutine `attempt(action, target, timeout) -> ProbeResult`. A *failure* is an
answer and counts against the threshold; an *error* (`ProbeError`) means that the question could not be asked
or the answer not be read: the worker tries again at once, then throws the attempt away.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import msgspec

from podward.machinery.network import Network

USER_AGENT = "kube-probe/1.36"
HOOK_USER_AGENT = "kube-lifecycle/1.36"
MAX_OUTPUT_BYTES = 10 * 1024
"""Of an exec's output or an http body; the rest is cut and does not change the verdict."""


class ProbeType(StrEnum):
    """What the answer is for."""

    LIVENESS = "Liveness"
    READINESS = "Readiness"
    STARTUP = "Startup"


class Outcome(StrEnum):
    """The one enum for what a probe said; UNKNOWN is only ever a cached verdict, before the first answer."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class ProbeVerdicts(msgspec.Struct, frozen=True):
    """What the prober holds about one Pod at one moment, for the pure functions that decide from it.

    Verdicts belong to a container *instance*: the maps go from bare container ID (no `scheme://`) to
    SUCCESS, FAILURE or UNKNOWN. `workers` names the (container, type) pairs that are being probed.
    """

    liveness: Mapping[str, Outcome] = msgspec.field(default_factory=dict)
    readiness: Mapping[str, Outcome] = msgspec.field(default_factory=dict)
    startup: Mapping[str, Outcome] = msgspec.field(default_factory=dict)
    workers: frozenset[tuple[str, ProbeType]] = frozenset()


class ProbeResult(msgspec.Struct, frozen=True):
    outcome: Outcome
    output: str = ""


class ProbeError(Exception):
    """The attempt says nothing about the container; the text is shown in the event.

    `state` is only a word of that text: what the attempt was about to say when it broke off.
    """

    def __init__(self, message: str, state: Outcome = Outcome.UNKNOWN) -> None:
        super().__init__(message)
        self.state = state


class ExecOutput(Protocol):
    @property
    def exit_code(self) -> int: ...
    @property
    def stdout(self) -> bytes: ...
    @property
    def stderr(self) -> bytes: ...


class ExecTimedOut(Exception):
    """Raised by `ProbeTarget.exec_sync` when the command was killed at its timeout."""


ExecSync = Callable[[Sequence[str], float], Awaitable[ExecOutput]]
"""(argv, timeout in seconds) -> output; raises `ExecTimedOut`, or `ProbeError` if it cannot be run."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """The container as a probe sees it: an address and a way to run a command in it."""

    pod_ip: str
    named_ports: dict[str, int]
    """This container's `ports[].name` -> containerPort."""
    exec_sync: ExecSync
    network: Network
    literal_env: Mapping[str, str] = field(default_factory=dict)
    """What `$(NAME)` in a command expands to: the container's `env` entries with a literal value."""
