"""What a described program and a described image are, and what a server answers at which moment. No I/O.

Every moment is counted in seconds from when the program has started (`starts`). What is not described is not
there: a path that has no answer at that moment is a 404, a health service without a status is not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from podward.probes.health_messages import CHECK, SERVICE, ServingStatus

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span(Generic[T]):
    """Something that holds from one moment, up to but not including another; for ever without `end`."""

    value: T
    begin: float = 0.0
    end: float | None = None


@dataclass(frozen=True, slots=True)
class OverTime(Generic[T]):
    spans: tuple[Span[T], ...]

    def at(self, moment: float) -> T | None:
        """The first span that covers the moment wins."""
        for span in self.spans:
            if span.begin <= moment and (span.end is None or moment < span.end):
                return span.value
        return None


@dataclass(frozen=True, slots=True)
class Listens:
    """One port, and what is said there. Without `answers` and `grpc` a connection ends as soon as it asks."""

    port: int
    begin: float = 0.0
    end: float | None = None
    """Refuses connections afterwards."""
    answers: Mapping[str, OverTime[int]] = field(default_factory=dict)
    """Path -> HTTP status."""
    grpc: Mapping[str, OverTime[ServingStatus]] | None = None
    """Service -> health. If there is none at all, the server has no health service."""
    delay: float = 0.0
    """How late each answer comes."""
    hangs: bool = False
    """Accepts connections and says nothing."""
    tls: bool = False

    def http_status(self, path: str, moment: float) -> int:
        described = self.answers.get(path)
        return (described.at(moment) if described else None) or 404

    def health(self, method: str, service: str, moment: float) -> "ServingStatus | RpcError":
        name, _, call = method.strip("/").rpartition("/")
        if name != SERVICE or not self.grpc:
            return RpcError(12, f"unknown service {name}")
        if method != CHECK:
            return RpcError(12, f"unknown method {call} for service {name}")
        described = self.grpc.get(service)
        status = described.at(moment) if described else None
        return RpcError(5, "unknown service") if status is None else status


@dataclass(frozen=True, slots=True)
class RpcError:
    """A gRPC call that ends without a message; the code is gRPC's number."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Ends:
    code: int
    after: float


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A command."""

    starts: float = 0.0
    listens: tuple[Listens, ...] = ()
    exits: Ends | None = None
    term: Ends | None = Ends(143, 0.0)
    """None: ignored."""
    prints: str = ""
    out_of_memory_after: float | None = None


@dataclass(frozen=True, slots=True)
class Image:
    command: tuple[str, ...] = ()
    """What it runs if the container names no command."""
    args: tuple[str, ...] = ()
    missing: bool = False
    """No registry has it."""
    pull: float | None = None
    """Seconds; None if it lies on the node already."""
