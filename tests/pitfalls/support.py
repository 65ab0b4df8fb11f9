"""What the sixty pitfalls share: a Pod is played in virtual time by the whole system, then looked at.

Two commands are known to every container. `app` does what the test says of each instance; `check KIND` is what
the probes ask, and the test answers. All times are seconds since the manifest was applied, and exact: the
Pod's probe workers tick from 0 (a period of 10 s is due at 10, 20 ...), its sandbox is there at 0.5, and its
first container runs from 0.55, for starting a container takes 0.05 s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
from lightkube.models import core_v1

from podward.apiserver.printers.pod import summarize
from podward.cluster import Cluster
from podward.kubelet.runtime.base import ContainerEvent, ContainerEventType, SandboxState
from podward.simulate.answers import Behaviour, Ends
from podward.simulate.commands.network import read_head
from podward.simulate.commands.system import for_ever
from podward.simulate.described import program
from podward.simulate.faults.schedule import Fault, KillPodward
from podward.simulate.ports import Serve, Stream
from podward.simulate.processes import Group, Process, Program
from podward.simulate.runtime import START_SECONDS, SimulatedRuntime
from podward.simulate.simulation import (
    PodChange,
    Recording,
    simulate,
)
from podward.simulate.world import Container, Log, World

Manifest = dict[str, Any]


# ------------------------------------------------------------------------------- manifests


def pod(*containers: Manifest, name: str = "p", **spec: Any) -> Manifest:
    """A Pod of these containers; one plain `c` if none is given."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": list(containers) or [container()], **spec},
    }


def container(name: str = "c", *command: str, **fields: Any) -> Manifest:
    return {"name": name, "image": "busybox", "command": list(command) or ["app"], **fields}


def check(kind: str, **fields: Any) -> Manifest:
    """A probe that asks the test."""
    return {"exec": {"command": ["check", kind]}, **fields}


def get(path: str = "/", port: int | str = 8080, **fields: Any) -> Manifest:
    """An httpGet probe."""
    return {"httpGet": {"path": path, "port": port}, **fields}


# ------------------------------------------------------------- what instances of a container do

LIVES = Behaviour()
"""Until SIGTERM, which ends it at once with code 143."""
STUBBORN = Behaviour(term=None)
"""Does not hear SIGTERM: a kill takes the whole grace, and the exit code is 137."""
POLITE = Behaviour(term=Ends(0, 0))
"""Exits 0 at once when it hears SIGTERM."""


def ends(after: float, code: int = 1, term: Ends | None = LIVES.term) -> Behaviour:
    """By itself, so many seconds after it began to run."""
    return Behaviour(exits=Ends(code, after), term=term)


@dataclass(frozen=True, slots=True)
class Question:
    kind: str
    at: float
    instance: int
    """Restarts before the instance that is asked."""


WARM_UP = 60.0
"""Before any manifest comes: a kubelet that has just begun spreads its first probes."""


def now() -> float:
    """Within a test's program or script."""
    return round(asyncio.get_running_loop().time() - WARM_UP, 3)


Answer = Callable[[Question], bool]


def yes(question: Question) -> bool:
    return True


def no(question: Question) -> bool:
    return False


# ------------------------------------------------------------------- what happens beside it

Script = Callable[[Cluster], Awaitable[None]]


def later(seconds: float, act: Script) -> Script:
    async def script(cluster: Cluster) -> None:
        await asyncio.sleep(seconds)
        await act(cluster)

    return script


async def delete(cluster: Cluster, grace: int | None = None) -> None:
    await cluster.client.delete(core_v1.Pod, "p", "default", grace_period_seconds=grace)


async def lose_sandbox(cluster: Cluster) -> None:
    """The Pod's network and all its processes are gone in one blow, as after a reboot of the node."""
    world = world_of(cluster)
    (sandbox,) = world.sandboxes.values()
    sandbox.state = SandboxState.NOT_READY
    for one in list(world.containers.values()):
        world.kill(one)


async def edit(cluster: Cluster, fields: Manifest) -> None:
    """Change these fields of container `c`."""
    patch = {"spec": {"containers": [{"name": "c", **fields}]}}
    await cluster.client.patch(core_v1.Pod, "p", patch, namespace="default")


def world_of(cluster: Cluster) -> World:
    """The machine on which a script's cluster runs its containers."""
    assert isinstance(cluster.runtime, SimulatedRuntime)
    return cluster.runtime.world


# ---------------------------------------------------------------------------------- playing it


@dataclass
class _Stage:
    """Teaches a world the commands, and writes down what it sees of the containers."""

    does: Mapping[str, Sequence[Behaviour]]
    answer: Answer
    takes: float
    programs: Mapping[str, Program]
    strict: bool
    questions: list[Question] = field(default_factory=list)
    lives: list[Container] = field(default_factory=list)
    logs: Mapping[str, Log] = field(default_factory=dict)

    def set(self, world: World) -> None:
        def lookup(group: Group) -> Container:
            return next(c for c in world.containers.values() if c.group is group)

        async def app(process: Process) -> int:
            config = lookup(process.group).config
            runs = self.does.get(config.name, (LIVES,))
            return await program(runs[min(config.attempt, len(runs) - 1)])(process)

        async def asked(process: Process) -> int:
            question = Question(process.argv[1], now(), lookup(process.group).config.attempt)
            self.questions.append(question)
            await asyncio.sleep(self.takes)
            return 0 if self.answer(question) else 1

        def happened(event: ContainerEvent) -> None:
            if event.type is ContainerEventType.STARTED:
                self.lives.append(world.containers[event.container_id])

        world.programs |= {"app": app, "check": asked, **self.programs}
        world.strict = self.strict
        self.logs = world.logs
        world.listeners.append(happened)


def play(
    pods: Manifest | Sequence[Manifest],
    seconds: float,
    *,
    does: Sequence[Behaviour] | Mapping[str, Sequence[Behaviour]] = (),
    answer: Answer = yes,
    takes: float = 0.0,
    programs: Mapping[str, Program] | None = None,
    strict: bool = True,
    script: Script | None = None,
    agent_away: tuple[float, float] | None = None,
) -> "Seen":
    """`does`: what the instances of each container (or of `c`) do, the last for all that follow.

    `takes`: how long each `check` thinks before it is answered. `programs`: more commands; one that nobody
    knows ends the test, unless not `strict`: then it is just not there. `script` runs beside, from the moment
    when the manifest was applied. `agent_away`: all of Podward is killed at the first time and begins anew at
    the second; the containers know nothing of it.
    """
    runs = does if isinstance(does, Mapping) else {"c": does} if does else {}
    stage = _Stage(runs, answer, takes, programs or {}, strict)
    documents = [pods] if isinstance(pods, dict) else list(pods)
    faults: list[Fault] = []
    if agent_away is not None:
        dies, returns = agent_away
        faults.append(KillPodward(dies, returns - dies))
    recording = simulate(documents, seconds, prepare=stage.set, script=script, faults=faults)
    return Seen(recording, stage)


# ------------------------------------------------------------------------------ looking at it


@dataclass(frozen=True, slots=True)
class Instance:
    """One life of a container, as the machine knows it."""

    began: float
    ended: float | None
    code: int | None
    reason: str


class Seen:
    """Everything that was seen of the Pods; of the first of them, unless another's name is given."""

    def __init__(self, recording: Recording, stage: _Stage) -> None:
        self.recording = recording
        self._lives = stage.lives
        self._questions = stage.questions
        self._logs = stage.logs
        self._first = name_of(recording.changes[0].pod)

    # ---- of the machine

    def asked(self, kind: str) -> list[tuple[float, int]]:
        """When a `check` of this kind ran, and in which instance."""
        return [(q.at, q.instance) for q in self._questions if q.kind == kind]

    def instances(self, name: str = "c", pod: str = "") -> list[Instance]:
        return [
            Instance(self.second(c.started_at) or 0.0, self.second(c.finished_at), c.exit_code, c.reason)
            for c in self._lives
            if c.config.name == name and c.sandbox.config.pod_name == (pod or self._first)
        ]  # fmt: skip

    def starts(self, name: str = "c", pod: str = "") -> list[float]:
        return [instance.began for instance in self.instances(name, pod)]

    def waits(self, name: str = "c", pod: str = "") -> list[float]:
        """How long after each end the next start was begun."""
        pairs = pairwise(self.instances(name, pod))
        return [round(new.began - START_SECONDS - (old.ended or 0.0), 3) for old, new in pairs]

    def printed(self, name: str, instance: int) -> str:
        """What the n-th instance of a container wrote."""
        lives = [c for c in self._lives if c.config.name == name]
        log = self._logs[lives[instance].config.log_path]
        return b"".join(piece for _, piece in log.pieces).decode()

    # ---- of the API

    def changes(self, pod: str = "") -> list[PodChange]:
        return [c for c in self.recording.changes if name_of(c.pod) == (pod or self._first)]

    def pod(self, at: float = float("inf"), pod: str = "") -> core_v1.Pod:
        """As it was at that moment, after all that happened in it."""
        return [c.pod for c in self.changes(pod) if c.at <= at + 1e-6][-1]

    def status(self, at: float = float("inf"), pod: str = "") -> core_v1.PodStatus:
        return self.pod(at, pod).status or core_v1.PodStatus()

    def container(
        self, name: str = "c", at: float = float("inf"), pod: str = ""
    ) -> core_v1.ContainerStatus:
        return container_of(self.status(at, pod), name)

    def shown(self, pod: str = "") -> list[tuple[float, str]]:
        """READY and STATUS as `kubectl get pods --watch` shows them, each change with its time."""
        out: list[tuple[float, str]] = []
        for change in self.changes(pod):
            summary = summarize(change.pod, self.moment(change.at))
            text = f"{summary.ready}/{summary.total} {summary.reason}"
            if change.type != "DELETED" and (not out or out[-1][1] != text):
                out.append((round(change.at, 3), text))
        return out

    def words(self, pod: str = "") -> list[str]:
        """STATUS alone, each change of it."""
        out: list[str] = []
        for _, text in self.shown(pod):
            word = text.partition(" ")[2]
            if out[-1:] != [word]:
                out.append(word)
        return out

    def restarts_shown(self, at: float, pod: str = "") -> str:
        """RESTARTS, asked at that moment."""
        return summarize(self.pod(at, pod), self.moment(at)).restarts

    def condition(self, type: str, pod: str = "") -> list[tuple[float, str]]:
        """Each change of a condition's status."""
        out: list[tuple[float, str]] = []
        for change in self.changes(pod):
            for held in (change.pod.status and change.pod.status.conditions) or ():
                if held.type == type and (not out or out[-1][1] != held.status):
                    out.append((round(change.at, 3), held.status))
        return out

    def said(self, reason: str, pod: str = "") -> list[tuple[float, str]]:
        """Each time an event of this reason was written: when, and its text."""
        return [
            (round(said.at, 3), said.event.message or "")
            for said in self.recording.said
            if said.event.reason == reason
            and said.event.involvedObject.name == (pod or self._first)
        ]

    def events(self, reason: str, pod: str = "") -> list[core_v1.Event]:
        """The Event objects of this reason in their last form, oldest first."""
        return [
            event
            for event in self.recording.events.values()
            if event.reason == reason and event.involvedObject.name == (pod or self._first)
        ]

    @property
    def uid(self) -> str:
        metadata = self.changes()[0].pod.metadata
        return (metadata and metadata.uid) or ""

    # ---- times

    def moment(self, at: float) -> datetime:
        return self.recording.began + timedelta(seconds=at)

    def second(self, moment: datetime | None) -> float | None:
        return None if moment is None else round(self.recording.seconds_of(moment), 3)


def name_of(pod: core_v1.Pod) -> str:
    return (pod.metadata and pod.metadata.name) or ""


def container_of(status: core_v1.PodStatus, name: str = "c") -> core_v1.ContainerStatus:
    listed: Sequence[core_v1.ContainerStatus]
    listed = (*(status.containerStatuses or ()), *(status.initContainerStatuses or ()))
    return next(one for one in listed if one.name == name)


def end_of(state: core_v1.ContainerState | None) -> core_v1.ContainerStateTerminated:
    assert state is not None
    assert state.terminated is not None
    return state.terminated


def waiting(reason: str, message: str) -> core_v1.ContainerState:
    held = core_v1.ContainerStateWaiting(reason=reason, message=message)
    return core_v1.ContainerState(waiting=held)


def plain(thing: Any) -> Any:
    """As JSON shows it."""
    return msgspec.json.decode(msgspec.json.encode(thing))


# ------------------------------------------------------------------------------ http servers


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    host: str
    """Without the port."""


Respond = Callable[[Request, Stream], Awaitable[None]]
"""Answers a request; the connection is closed when it returns."""


def web(respond: Respond, *more: Respond) -> Program:
    """A server for as long as the container lives, on port 8080 and the ones after it."""

    async def run(process: Process) -> int:
        for port, one in enumerate((respond, *more), start=8080):
            process.listen(port, answering(one))
        await for_ever()
        return 0

    return run


def answering(respond: Respond) -> Serve:
    async def one(stream: Stream) -> None:
        head = (await read_head(stream)).decode().split("\r\n")
        host = next(line.split(":")[1].strip() for line in head if line.startswith("Host:"))
        await respond(Request(head[0].split(" ")[1], host), stream)

    return one


def answer_of(status: str, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()
