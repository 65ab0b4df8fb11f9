"""The runtime protocol: what the kubelet asks of whatever runs containers.

Shaped like CRI (`runtime.v1`): a **sandbox** holds what a Pod's containers share and outlives any of them;
a **container** is created, started, exits once and never starts again; a restart is a new container with
a new ID. Labels and annotations are stored with the container and handed back unread: all that the kubelet
must remember across its own death lives there (spec/health.md 4.5).

Containers outlive the runtime object: after a crash, a new runtime on the same state finds them running, or
finds how they ended.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

import msgspec


class RuntimeFailure(Exception):
    """The runtime could not do it; the text is what a user reads in `kubectl describe`."""


class NotFound(RuntimeFailure):
    """No such sandbox, container or image."""


class RuntimeUnavailable(RuntimeFailure):
    """Nobody is there to ask. It is no news of any Pod: the node tells of it (`Runtime.problem`)."""


class ExecTimeout(RuntimeFailure):
    """The command ran longer than it was allowed and was killed with all it had started."""


class CreateContainerError(RuntimeFailure):
    """The container cannot be made from this spec and image (waiting reason `CreateContainerError`)."""


class StartError(RuntimeFailure):
    """The container was created but its command could not be started (`RunContainerError`; exit code 128)."""


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


class SandboxState(StrEnum):
    READY = "ready"
    NOT_READY = "not-ready"


class NamespaceMode(StrEnum):
    """Whose namespace of a kind a container lives in."""

    POD = "pod"
    CONTAINER = "container"
    NODE = "node"


class SecurityProfile(msgspec.Struct, frozen=True):
    """Of seccomp or AppArmor; no profile at all is left to the runtime."""

    type: Literal["RuntimeDefault", "Unconfined", "Localhost"]
    localhost_ref: str = ""


class SeLinuxOptions(msgspec.Struct, frozen=True):
    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SecurityContext(msgspec.Struct, frozen=True):
    """What a container may and who it is: the Pod's and the container's own wishes, made one."""

    run_as_user: int | None = None
    """None: whom the image names."""
    run_as_user_name: str = ""
    """Instead of a number, as an image may name its user."""
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    strict_groups: bool = False
    """`supplementalGroupsPolicy: Strict`: these groups only, whatever the image's /etc/group says."""
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    add_capabilities: tuple[str, ...] = ()
    """Without `CAP_`, as a Pod spec has them; `ALL` is all."""
    drop_capabilities: tuple[str, ...] = ()
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None
    selinux: SeLinuxOptions | None = None
    unmasked_proc: bool = False
    """`procMount: Unmasked`."""


class Resources(msgspec.Struct, frozen=True):
    """To cgroups; 0 is not limited."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    """Microseconds of a `cpu_period`."""
    cpu_period: int = 0
    memory_limit_bytes: int = 0
    oom_score_adj: int = 0
    hugepage_limits: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Page size (`2MB`) -> bytes."""


class PortMapping(msgspec.Struct, frozen=True):
    container_port: int
    host_port: int
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    host_ip: str = ""


class Dns(msgspec.Struct, frozen=True):
    """The lines of /etc/resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class SandboxConfig(msgspec.Struct, frozen=True):
    """What a Pod's containers share. A runtime without namespaces of its own takes from it what it can."""

    pod_name: str
    pod_namespace: str
    pod_uid: str
    attempt: int = 0
    hostname: str = ""
    log_directory: str = ""
    network: NamespaceMode = NamespaceMode.POD
    """`POD` or `NODE` (hostNetwork)."""
    pid: NamespaceMode = NamespaceMode.CONTAINER
    """`POD` if the containers see each other's processes (shareProcessNamespace), `NODE` for hostPID."""
    ipc: NamespaceMode = NamespaceMode.POD
    dns: Dns | None = None
    """None: as the machine has it."""
    port_mappings: Sequence[PortMapping] = ()
    sysctls: Mapping[str, str] = msgspec.field(default_factory=dict)
    cgroup_parent: str = ""
    security: SecurityContext = SecurityContext()
    runtime_handler: str = ""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)


class SandboxStatus(msgspec.Struct, frozen=True):
    id: str
    config: SandboxConfig
    state: SandboxState
    created_at: datetime
    ips: tuple[str, ...]
    host_network: bool = False
    """Its network is the machine's own: what listens on its loopback is found on ours."""
    network_namespace: str = ""
    """A path by which this machine's processes enter its network; empty where there is none."""


class MountPropagation(StrEnum):
    PRIVATE = "None"
    HOST_TO_CONTAINER = "HostToContainer"
    BIDIRECTIONAL = "Bidirectional"


class Mount(msgspec.Struct, frozen=True):
    host_path: str
    container_path: str
    read_only: bool = False
    propagation: MountPropagation = MountPropagation.PRIVATE
    recursive_read_only: bool = False


class ContainerConfig(msgspec.Struct, frozen=True):
    """One instance of a container: everything resolved, nothing left to expand."""

    name: str
    attempt: int
    """The restart count that this instance carries."""
    image: str
    """Its name in the Pod."""
    command: Sequence[str] = ()
    """Replaces the image's entrypoint if not empty."""
    args: Sequence[str] = ()
    """Replaces the image's arguments if not empty."""
    working_dir: str = ""
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    log_path: str = ""
    """Absolute; the file that receives stdout and stderr."""
    resources: Resources = Resources()
    security: SecurityContext = SecurityContext()
    stop_signal: str = ""
    """`SIGUSR1`; empty for the image's own."""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    image_ref: str = ""
    """`ImageStatus.ref` of what it is made from; empty: what `image` names now."""
    process_namespace_of: str = ""
    """ID of a container whose processes this one sees, where each container sees but its own."""


class ContainerStatus(msgspec.Struct, frozen=True):
    id: str
    """Without the runtime's scheme."""
    sandbox_id: str
    config: ContainerConfig
    pod_uid: str
    state: ContainerState
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: str = ""
    """As CRI reports it: Completed, Error, OOMKilled, StartError, Unknown."""
    message: str = ""
    image_id: str = ""


class ImageStatus(msgspec.Struct, frozen=True):
    image: str
    """As the status shows it, e.g. `docker.io/library/busybox:latest`."""
    image_id: str
    user: str = ""
    """Whom its containers run as: a name, a number, or empty for root."""
    note: str = ""
    """Not empty if the image is not what its name says, e.g. that it stands for the host's filesystem."""
    ref: str = ""
    """What the runtime itself calls it: it means this very image, though a tag may move meanwhile."""
    size_bytes: int = 0
    """0: not known."""
    from_registry: bool = False
    """There is a registry that may have a newer one of this name: pull policy `Always` asks it."""


class Credentials(msgspec.Struct, frozen=True):
    """For one registry, as a `dockerconfigjson` has them."""

    username: str = ""
    password: str = ""
    auth: str = ""
    server_address: str = ""
    identity_token: str = ""
    registry_token: str = ""


class ExecResult(msgspec.Struct, frozen=True):
    exit_code: int
    stdout: bytes
    stderr: bytes


class PodObservation(msgspec.Struct, frozen=True):
    """All that the runtime holds of one Pod, newest first: what one turn of its worker starts from."""

    sandboxes: tuple[SandboxStatus, ...] = ()
    containers: tuple[ContainerStatus, ...] = ()

    def instances(self, container_name: str) -> list[ContainerStatus]:
        """Newest first."""
        return [c for c in self.containers if c.config.name == container_name]

    def newest(self, container_name: str) -> ContainerStatus | None:
        return next((c for c in self.containers if c.config.name == container_name), None)


class ContainerEventType(StrEnum):
    STARTED = "ContainerStarted"
    DIED = "ContainerDied"
    REMOVED = "ContainerRemoved"
    SANDBOX_CHANGED = "PodSandboxChanged"


class ContainerEvent(msgspec.Struct, frozen=True):
    """Something happened to the Pod; the kubelet looks again, it does not trust the event's details."""

    pod_uid: str
    type: ContainerEventType
    container_id: str


@dataclass(frozen=True, slots=True)
class LogOptions:
    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


class ExecStream(Protocol):
    """An interactive command in a container. All of it ends when `close` is called."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(1, data) for stdout, (2, data) for stderr, until both have ended. With a tty only 1."""

    async def write(self, data: bytes) -> None:
        """To the command's stdin; discarded once the command closed it."""

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int:
        """The exit code; 128 + signal for a command that a signal ended. `RuntimeFailure` if there is none:
        the command could not be started, or its end is not known."""

    async def close(self) -> None:
        """Kill the command if it still runs, free what it holds. Idempotent."""


class Features(msgspec.Struct, frozen=True):
    """What not every runtime can. What a Pod wishes of the rest is passed over, as if it were not there."""

    cgroup_driver: Literal["", "cgroupfs", "systemd"] = ""
    """Who makes its cgroups; empty if it cannot be told where."""
    security_contexts: bool = False
    """Containers are who, and may what, their Pod says."""
    own_network: bool = False
    """A Pod has a network of its own, with an /etc/hosts and an /etc/resolv.conf."""
    supplemental_groups_policy: bool = False
    """It knows `strict_groups`."""


class PortStream(Protocol):
    """A connection to a port of a Pod; each side can end before the other."""

    async def read(self) -> bytes:
        """What has come; empty once the Pod has ended or is gone."""

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None:
        """No more will be written; what the Pod writes is still read."""

    async def problem(self) -> str:
        """Once it is read to its end: why it has failed, as a whole sentence; empty if it has not."""

    async def close(self) -> None: ...

    def abort(self) -> None:
        """Close, and let go of what is not sent yet."""


class Runtime(Protocol):
    """Every implementation passes `tests/contracts/runtime.py`, the simulated one too.

    Calls are safe to make concurrently for different containers. All raise `RuntimeFailure`.
    """

    @property
    def name(self) -> str:
        """The scheme of container IDs (`process`, `containerd`): status shows `{name}://{id}`."""

    @property
    def version(self) -> str: ...

    @property
    def rotates_logs(self) -> bool:
        """Whether the kubelet bounds its logs: a file is renamed, and `reopen_log` has the next one begun."""

    async def start(self) -> None:
        """Find what is running already; only then is anything else allowed."""

    async def features(self) -> Features:
        """They do not change while it runs."""

    async def close(self) -> None:
        """Let go of everything and leave it running."""

    async def problem(self) -> str | None:
        """Why no Pod can be run at present, as the node's condition says it; None if nothing is wrong.

        Raises `RuntimeUnavailable` if nobody is there to ask.
        """

    def events(self) -> AsyncIterator[ContainerEvent]:
        """Everything that happens from the first iteration on, until `close`. One consumer."""

    async def run_pod_sandbox(self, config: SandboxConfig) -> str: ...

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kill what still runs in it, release its network; idempotent."""

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Forget it and every container of it; idempotent."""

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> list[SandboxStatus]:
        """Newest first: by attempt, then by time, for a wall clock may have been set back."""

    async def read_only_recursively(self, sandbox_id: str) -> bool:
        """Whether what is mounted below a read-only mount can be read-only too (`recursive_read_only`)."""

    async def image_status(self, image: str) -> ImageStatus | None:
        """None if the image is not here and must be pulled."""

    async def pull_image(
        self, image: str, credentials: Credentials | None = None
    ) -> ImageStatus: ...

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str: ...

    async def start_container(self, container_id: str) -> None: ...

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Stop signal, then SIGKILL after the grace; returns when it has exited. Idempotent.

        A later call with a shorter grace shortens the one under way.
        """

    async def remove_container(self, container_id: str) -> None:
        """Kills it first if it runs; idempotent. Its log file is the kubelet's, and stays."""

    async def list_containers(self, pod_uid: str | None = None) -> list[ContainerStatus]:
        """Newest first, as sandboxes."""

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout: float | None
    ) -> ExecResult:
        """Run to the end inside the container, with its environment.

        Raises `ExecTimeout`; any failure to start the command at all is a `RuntimeFailure`, never an
        exit code. Output beyond 16 KiB a stream is dropped.
        """

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> ExecStream: ...

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> ExecStream:
        """To the container's first process, from now on; `wait` returns 0 however it ends, `close` leaves it
        running. An input where there is none is a `RuntimeFailure`, or read by nobody."""

    async def port_forward(self, sandbox_id: str, port: int) -> PortStream | None:
        """To whatever listens there inside the sandbox, on its loopback too. None if the runtime has no way of
        its own: then its addresses are those to try."""

    def read_log(
        self, log_path: str, options: LogOptions, container_id: str | None
    ) -> AsyncIterator[bytes]:
        """Whole lines of a log file in chunks; with `follow`, until the container of that ID has exited."""

    async def reopen_log(self, container_id: str) -> None:
        """Write on in a new file of the log's name. Nobody asks it who bounds his logs himself."""
