"""Where an engine listens: what `--runtime` says, else the places where engines are, the first that answers."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from podward.kubelet.runtime.base import RuntimeFailure
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import (
    CriClient,
    EngineFailure,
    EngineTimeout,
    EngineUnavailable,
    Unimplemented,
)

ENDPOINT_VARIABLE = "CONTAINER_RUNTIME_ENDPOINT"
CRICTL_CONFIG = Path("/etc/crictl.yaml")
USUAL_PLACES = (
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/var/run/cri-dockerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
)
_OLD_API = "runtime.v1alpha2"
_ANSWER_SECONDS = 5.0


class NoEngine(RuntimeFailure):
    """Nothing that can be used listens there; one line that says why, and what mends it."""

    def __init__(self, message: str, mend: str = "") -> None:
        """`mend`: a command, or what to change; it is part of what is read."""
        super().__init__(f"{message}: {mend}" if mend else message)
        self.message = message
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Engine:
    """One that answers."""

    socket: str
    name: str
    version: str


def socket_path(endpoint: str) -> str:
    """Of `unix:///run/x.sock` or `/run/x.sock`, either behind `cri://`; raises `NoEngine` for anything else."""
    path = endpoint.removeprefix("cri://").removeprefix("unix://")
    if not path.startswith("/") or "://" in path:
        raise NoEngine(
            f"{endpoint} is no engine's socket", "write cri:///run/containerd/containerd.sock"
        )
    return path


def places(environ: Mapping[str, str], crictl_config: Path = CRICTL_CONFIG) -> list[str]:
    """Sockets in the order in which they are looked at."""
    said = [environ.get(ENDPOINT_VARIABLE, ""), _crictl_endpoint(crictl_config)]
    chosen = [socket_path(one) for one in said if one]
    return list(dict.fromkeys([*chosen, *USUAL_PLACES]))


def _crictl_endpoint(config: Path) -> str:
    try:
        held = yaml.safe_load(config.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    endpoint = held.get("runtime-endpoint") if isinstance(held, dict) else None
    return endpoint if isinstance(endpoint, str) else ""


async def find(runtime: str, environ: Mapping[str, str] = os.environ) -> Engine:
    """Of `cri` (look for it), `cri://SOCKET` or `unix://SOCKET`. Raises `NoEngine`."""
    if runtime in ("cri", "cri://"):
        return await first_of(places(environ))
    return await ask(socket_path(runtime))


async def first_of(sockets: Sequence[str]) -> Engine:
    refused: list[NoEngine] = []
    for socket in sockets:
        if _is_absent(socket):
            continue
        try:
            return await ask(socket)
        except NoEngine as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise NoEngine("; ".join(str(one) for one in refused))
    raise NoEngine(
        f"no container engine found at {', '.join(sockets)}",
        "install one (apt-get install containerd), or name its socket (--runtime cri:///PATH)",
    )


def _is_absent(socket: str) -> bool:
    try:
        os.stat(socket)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


async def ask(socket: str) -> Engine:
    """What engine it is. Raises `NoEngine`."""
    _check_file(socket)
    client = CriClient(socket)
    try:
        found = await client.runtime(
            "Version", pb.VersionRequest(), pb.VersionResponse, _ANSWER_SECONDS
        )
    except Unimplemented:
        raise await _without_our_api(socket) from None
    except (EngineUnavailable, EngineTimeout) as error:
        mend = f"see whether the engine runs (systemctl status {_service(socket)})"
        raise NoEngine(f"nobody answers at {socket}", mend) from error
    except EngineFailure as error:
        raise NoEngine(f"what listens at {socket} is no engine: {error}") from error
    finally:
        await client.close()
    return Engine(socket, found.runtime_name, found.runtime_version)


def _check_file(socket: str) -> None:
    try:
        mode = os.stat(socket).st_mode
    except FileNotFoundError:
        mend = f"see whether the engine runs (systemctl status {_service(socket)})"
        raise NoEngine(f"there is no engine's socket {socket}", mend) from None
    except OSError as error:
        raise NoEngine(
            f"cannot reach the engine's socket {socket} ({os.strerror(error.errno or 0).lower()})",
            "run podward as root",
        ) from error
    if not stat.S_ISSOCK(mode):
        raise NoEngine(f"{socket} is no socket")
    if not os.access(socket, os.R_OK | os.W_OK, effective_ids=True):
        mend = f"run podward as root, or let its group use it (ls -l {socket})"
        raise NoEngine(f"may not open the engine's socket {socket}", mend)


async def _without_our_api(socket: str) -> NoEngine:
    """It listens, and does not know runtime.v1: too old, or its CRI is turned off."""
    client = CriClient(socket, api=_OLD_API)
    try:
        found = await client.runtime(
            "Version", pb.VersionRequest(), pb.VersionResponse, _ANSWER_SECONDS
        )
    except EngineFailure:
        return NoEngine(
            f"what listens at {socket} serves no CRI",
            'take "cri" out of disabled_plugins in /etc/containerd/config.toml and restart containerd',
        )
    finally:
        await client.close()
    return NoEngine(
        f"{found.runtime_name} {found.runtime_version} at {socket} speaks {_OLD_API} only, not runtime.v1",
        "upgrade it (containerd 1.6, CRI-O 1.23 or newer)",
    )


def _service(socket: str) -> str:
    for word, service in (("crio", "crio"), ("cri-dockerd", "cri-docker"), ("k3s", "k3s")):
        if word in socket:
            return service
    return "containerd"
