"""What is looked at before anything is judged: plain facts, gathered in `machine.py` and `engine.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

LIBRARIES = ("grpcio", "protobuf", "msgspec", "uvloop", "lightkube-models")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that is called."""

    path: str = ""
    """Empty: not installed."""
    version: str = ""
    failure: str = ""
    """Not empty if it was tried and did not work."""


@dataclass(frozen=True, slots=True)
class Cgroups:
    version: Literal["none", "v1", "v2", "hybrid"] = "none"
    controllers: frozenset[str] = frozenset()
    writable: frozenset[str] = frozenset()
    """By us."""


@dataclass(frozen=True, slots=True)
class Machine:
    python: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Name -> version, empty if it is not installed."""
    as_root: bool = False
    init: str = ""
    """The name of process 1."""
    data_dir: str = ""
    data_dir_failure: str = ""
    """Why it cannot be written."""
    disk_bytes: int = 0
    disk_free_bytes: int = 0
    listen: str = "127.0.0.1:6443"
    listen_failure: str = ""
    """Why it cannot be listened there."""
    year: int = 0
    clock_in_step: bool | None = None
    """Whether somebody keeps it right; None if the kernel does not say."""
    bubblewrap: Tool = Tool()
    nsenter: Tool = Tool()
    setpriv: Tool = Tool()
    user_namespaces: Mapping[str, str] = field(default_factory=dict)
    """sysctl -> value, of those that there are."""
    cgroups: Cgroups = Cgroups()
    ip_forward: bool | None = None
    bridge_filter: bool | None = None
    """Whether iptables sees what passes a bridge; None without the module."""
    seccomp: bool = False
    apparmor: bool = False
    overlay: bool = False
    kubelets: tuple[int, ...] = ()
    """Their pids."""


@dataclass(frozen=True, slots=True)
class Condition:
    status: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """The engine's CNI: its network, and the programs that make it."""

    config_dir: str = ""
    bin_dirs: tuple[str, ...] = ()
    config_files: tuple[str, ...] = ()
    name: str = ""
    """Of the first file, which is the one that is used."""
    missing_plugins: tuple[str, ...] = ()
    plugins_elsewhere: str = ""
    """A folder that has what is missing."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """As far as an engine tells it; containerd does."""

    sandbox_image: str = ""
    restricts_oom_score: bool = False
    systemd_cgroups: bool = False
    snapshotter: str = ""
    root: str = ""
    """Where it keeps images and containers."""
    network: Network = Network()


@dataclass(frozen=True, slots=True)
class Engine:
    socket: str
    name: str
    version: str
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    config: EngineConfig | None = None
    sandbox_image_here: bool | None = None
    smallest_image: str = ""
    """Of those that it has."""
    disk_bytes: int = 0
    """Of its root; 0 if that cannot be seen."""
    disk_free_bytes: int = 0
    lowers_oom_scores: bool | None = None
    """Its process has CAP_SYS_RESOURCE; None if that cannot be seen."""
    strangers: tuple[str, ...] = ()
    """namespace/name of Pods that no Podward made."""


@dataclass(frozen=True, slots=True)
class NoEngine:
    message: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A sandbox with one container, made and removed for real."""

    steps: tuple[tuple[str, float], ...] = ()
    """(what was done, seconds), as far as it came."""
    failed: str = ""
    """The step that did not work."""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    machine: Machine
    engine: Engine | NoEngine | None = None
    """None: not looked for."""
    trial: Trial | None = None
