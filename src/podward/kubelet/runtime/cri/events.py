"""What happened to sandboxes and containers: the difference between what was told last and what is seen now.

Whoever learns something first says it (an answer of the engine, the end of a process, a look at everything);
each thing is told once. What a look found says nothing of what was told while it was under way: the engine may
have answered before.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from podward.kubelet.runtime.base import ContainerEvent, ContainerEventType, ContainerState

T = TypeVar("T")


class Sandbox(msgspec.Struct, frozen=True):
    pod_uid: str
    ready: bool


class Container(msgspec.Struct, frozen=True):
    pod_uid: str
    sandbox_id: str
    state: ContainerState

    @property
    def dead(self) -> bool:
        return self.state in (ContainerState.EXITED, ContainerState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Look:
    """What an engine holds of us, by ID."""

    sandboxes: Mapping[str, Sandbox] = field(default_factory=dict)
    containers: Mapping[str, Container] = field(default_factory=dict)


def container_events(
    identity: str, before: Container | None, now: Container | None
) -> list[ContainerEvent]:
    """One that vanished while it ran has died too; one that was never seen alive has not been started."""
    found = []
    running = before is not None and before.state is ContainerState.RUNNING
    if now is None:
        if before is not None:
            kinds = [ContainerEventType.DIED] if running else []
            kinds.append(ContainerEventType.REMOVED)
            found = [ContainerEvent(before.pod_uid, kind, identity) for kind in kinds]
    elif now.state is ContainerState.RUNNING and not running:
        found = [ContainerEvent(now.pod_uid, ContainerEventType.STARTED, identity)]
    elif now.dead and (before is None or not before.dead):
        found = [ContainerEvent(now.pod_uid, ContainerEventType.DIED, identity)]
    return found


def sandbox_events(
    identity: str, before: Sandbox | None, now: Sandbox | None
) -> list[ContainerEvent]:
    """News is the end of one that was ready, and one that nobody here has made; not its removal afterwards."""
    if now == before or (now is None and before is not None and not before.ready):
        return []
    uid = now.pod_uid if now is not None else before.pod_uid if before is not None else ""
    return [ContainerEvent(uid, ContainerEventType.SANDBOX_CHANGED, identity)]


_ORDER = (
    ContainerEventType.STARTED,
    ContainerEventType.DIED,
    ContainerEventType.SANDBOX_CHANGED,
    ContainerEventType.REMOVED,
)


def differences(before: Look, now: Look) -> list[ContainerEvent]:
    """Starts first, then ends, then sandboxes, then removals: the order in which such things happen."""
    found: list[ContainerEvent] = []
    for identity in _all(before.containers, now.containers):
        found += container_events(
            identity, before.containers.get(identity), now.containers.get(identity)
        )
    for identity in _all(before.sandboxes, now.sandboxes):
        found += sandbox_events(
            identity, before.sandboxes.get(identity), now.sandboxes.get(identity)
        )
    return sorted(found, key=lambda event: _ORDER.index(event.type))


def _all(before: Iterable[str], now: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*before, *now)))


class Ledger:
    """What was told so far."""

    def __init__(self, tell: Callable[[ContainerEvent], None]) -> None:
        self._tell = tell
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, Container] = {}
        self._touched: set[str] = set()
        """Told of since the last look began."""

    def made_sandbox(self, identity: str, pod_uid: str) -> None:
        """By ourselves: no news to anybody."""
        self._touched.add(identity)
        self.sandboxes[identity] = Sandbox(pod_uid, ready=True)

    def sandbox_lost(self, identity: str) -> None:
        """It holds nothing any more; what was started in it may run on."""
        before = self.sandboxes.get(identity)
        if before is not None:
            self._touched.add(identity)
            now = self.sandboxes[identity] = Sandbox(before.pod_uid, ready=False)
            self._say(sandbox_events(identity, before, now))

    def sandbox_stopped(self, identity: str) -> None:
        """With all that ran in it."""
        for container, held in list(self.containers.items()):
            if held.sandbox_id == identity and held.state is ContainerState.RUNNING:
                self.container(container, ContainerState.EXITED)
        self.sandbox_lost(identity)

    def sandbox_removed(self, identity: str) -> None:
        self.sandbox_stopped(identity)
        for container, held in list(self.containers.items()):
            if held.sandbox_id == identity:
                self.container_removed(container)
        self._touched.add(identity)
        self.sandboxes.pop(identity, None)

    def made_container(self, identity: str, pod_uid: str, sandbox_id: str) -> None:
        self._touched.add(identity)
        self.containers[identity] = Container(pod_uid, sandbox_id, ContainerState.CREATED)

    def container(self, identity: str, state: ContainerState) -> None:
        """One that is known is now in this state. What has died does not come back."""
        before = self.containers.get(identity)
        if before is None or (before.dead and state is ContainerState.RUNNING):
            return
        self._touched.add(identity)
        now = self.containers[identity] = msgspec.structs.replace(before, state=state)
        self._say(container_events(identity, before, now))

    def stopped(self, identity: str) -> None:
        """What was told to stop has ended, if it ran."""
        before = self.containers.get(identity)
        if before is not None and before.state is ContainerState.RUNNING:
            self.container(identity, ContainerState.EXITED)

    def not_started(self, identity: str) -> None:
        """Its command could not be started: whoever tried knows, and nobody else need hear of it."""
        before = self.containers.get(identity)
        if before is not None:
            self._touched.add(identity)
            self.containers[identity] = msgspec.structs.replace(before, state=ContainerState.EXITED)

    def container_removed(self, identity: str) -> None:
        self._touched.add(identity)
        self._say(container_events(identity, self.containers.pop(identity, None), None))

    def look_begins(self) -> None:
        self._touched.clear()

    def look_ended(self, found: Look, *, tell: bool = True) -> None:
        """Of everything at once; one look at a time."""
        before = Look(dict(self.sandboxes), dict(self.containers))
        _take(self.sandboxes, found.sandboxes, self._touched)
        _take(self.containers, found.containers, self._touched)
        if tell:
            self._say(differences(before, Look(self.sandboxes, self.containers)))

    def _say(self, events: Iterable[ContainerEvent]) -> None:
        for event in events:
            self._tell(event)


def _take(held: dict[str, T], found: Mapping[str, T], but_for: set[str]) -> None:
    for identity in held.keys() - found.keys() - but_for:
        del held[identity]
    held.update((identity, one) for identity, one in found.items() if identity not in but_for)
