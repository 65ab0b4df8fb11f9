"""A whole cluster on this machine: what `podward up` and `podward run` start.

The data directory is locked, the store opened, the runtime chosen and its containers adopted, the port served;
what a user can mend is a `ClusterError`.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from podward import __version__
from podward.apiserver.authentication import Authenticator
from podward.apiserver.certificates import (
    SERVICE_ADDRESS,
    ensure_authority,
    ensure_signing_key,
    write_kubeconfig,
)
from podward.apiserver.serving import HttpsServer
from podward.apiserver.version import FOLLOWS
from podward.cluster import Cluster, PodPresets
from podward.kubelet.api_access import ApiAccess
from podward.kubelet.container_logs import LogLimits
from podward.kubelet.image_credentials import MachineCredentials
from podward.kubelet.node import NodeFacts
from podward.kubelet.pod_admission import unknown_sysctl
from podward.kubelet.runtime.base import Runtime, RuntimeFailure
from podward.kubelet.runtime.process import ProcessRuntime
from podward.kubelet.volume_mounter import Mounter
from podward.machinery.clock import Clock, SystemClock
from podward.machinery.entropy import Entropy
from podward.machinery.host import (
    DirectoryInUse,
    DirectoryLock,
    default_address,
    read_machine,
)
from podward.machinery.http_client import SystemHttpClient
from podward.machinery.network import SystemNetwork
from podward.store.base import StoreError
from podward.store.sqlite import SqliteStore

log = logging.getLogger(__name__)


class ClusterError(Exception):
    """Podward cannot start here; the text is the one line that the user reads."""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """Everything that a running Podward can be told."""

    data_dir: Path
    listen_host: str = "127.0.0.1"
    listen_port: int = 6443
    node_name: str = "localhost"
    runtime: str = "process"
    isolation: str = "auto"
    exec_probes: Literal["direct", "engine"] = "direct"
    """Commands in an engine's containers: forked into them by us, or by the engine."""
    stop_pods: bool = False
    remove_pods: bool = False
    """With `stop_pods`: nothing of them stays with the runtime. For a data directory that goes too."""
    log_limits: LogLimits = field(default_factory=LogLimits)
    pod_presets: PodPresets = "safe"
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    """Which Pods may set beside the safe ones; `kernel.msg*` is all that begin so."""
    service_account_tokens: bool | None = None
    """Whether Pods get a token of their account and a way to the API server; None: if an engine runs them."""


@dataclass(frozen=True, slots=True)
class Ready:
    url: str
    kubeconfig: Path
    node_name: str


@contextlib.asynccontextmanager
async def start(config: ClusterConfig) -> AsyncIterator[tuple[Cluster, Ready]]:
    """A cluster on this machine: data directory locked, store open, containers adopted, port served.

    Raises `ClusterError` for whatever the user can mend. On the way out, containers stay running unless
    `config.stop_pods`.
    """
    async with contextlib.AsyncExitStack() as cleanup:
        for name in filter(unknown_sysctl, config.allowed_unsafe_sysctls):
            raise ClusterError(
                f"cannot allow sysctl {name}: Pods have none of that name of their own"
            )
        _prepare_data_dir(config.data_dir, cleanup)
        clock, entropy, http_client = SystemClock(), Entropy(), SystemHttpClient()
        cleanup.push_async_callback(http_client.close)
        store = _open_store(config.data_dir)
        cleanup.push_async_callback(store.close)
        node_ip = default_address()
        try:
            runtime = await _runtime(config, clock, entropy, node_ip)
            await runtime.start()
            own_network = (await runtime.features()).own_network
        except RuntimeFailure as error:
            raise ClusterError(f"cannot run containers: {error}") from error
        cleanup.push_async_callback(runtime.close)
        credentials = ensure_authority(
            config.data_dir, clock, [config.node_name, node_ip, config.listen_host]
        )
        api_access, with_tokens = ApiAccess(SERVICE_ADDRESS), _with_tokens(config)
        cluster = Cluster(
            store=store,
            runtime=runtime,
            clock=clock,
            entropy=entropy,
            network=SystemNetwork(),
            http_client=http_client,
            root=config.data_dir,
            facts=_node_facts(config.node_name, node_ip, runtime),
            authenticate=Authenticator.from_credentials(credentials),
            aside=asyncio.to_thread,
            pod_presets=config.pod_presets,
            allowed_unsafe_sysctls=config.allowed_unsafe_sysctls,
            mounter=Mounter.of_this_machine(config.data_dir),
            look_aside=asyncio.to_thread,
            machine_credentials=MachineCredentials(clock, home=_home()).places,
            log_limits=config.log_limits,
            signing_key=ensure_signing_key(credentials),
            root_ca=credentials.ca_certificate.read_text(),
            service_address=SERVICE_ADDRESS if with_tokens and own_network else "",
            service_account_tokens=with_tokens,
            api_access=api_access,
        )
        server = HttpsServer(
            cluster.apiserver,
            host=config.listen_host,
            port=config.listen_port,
            credentials=credentials,
        )
        try:
            port = await server.start()
        except OSError as error:
            address = f"{config.listen_host}:{config.listen_port}"
            raise ClusterError(f"cannot listen on {address}: {error.strerror or error}") from error
        cleanup.push_async_callback(server.stop)
        cleanup.push_async_callback(cluster.apiserver.close)
        if with_tokens:
            api_access.begin(server.serve, _own_address(config.listen_host), port)
        await cluster.start()
        cleanup.push_async_callback(
            cluster.stop, stop_pods=config.stop_pods, remove_pods=config.remove_pods
        )
        url = f"https://{config.listen_host}:{port}"
        kubeconfig = config.data_dir / "kubeconfig"
        write_kubeconfig(kubeconfig, url, credentials)
        yield cluster, Ready(url, kubeconfig, config.node_name)


async def serve(
    config: ClusterConfig, *, ready: Callable[[Ready], None], stop: asyncio.Event
) -> None:
    """`podward up`: until `stop` is set, or a part of the cluster fails."""
    async with start(config) as (cluster, facts):
        ready(facts)
        running = asyncio.ensure_future(cluster.wait())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done():
            running.result()
        running.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


def _prepare_data_dir(data_dir: Path, cleanup: contextlib.AsyncExitStack) -> None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DirectoryLock(data_dir)
    except DirectoryInUse as error:
        raise ClusterError(
            f"cannot use {data_dir}: another podward (pid {error.holder}) runs on it"
        ) from error
    except OSError as error:
        raise ClusterError(f"cannot use {data_dir}: {error.strerror or error}") from error
    cleanup.callback(lock.release)


def _open_store(data_dir: Path) -> SqliteStore:
    try:
        return SqliteStore.open(data_dir / "store.db")
    except StoreError as error:
        raise ClusterError(str(error)) from error


async def _runtime(config: ClusterConfig, clock: Clock, entropy: Entropy, node_ip: str) -> Runtime:
    """`process`, `cri` (the engine's socket is looked for), `cri://PATH` or `unix://PATH`."""
    folder = config.data_dir / "runtime"
    if config.runtime == "process":
        return ProcessRuntime(
            folder,
            clock=clock,
            entropy=entropy,
            node_ip=node_ip,
            isolation=config.isolation,
            log=log.warning,
        )
    if config.runtime.partition("://")[0] not in ("cri", "unix"):
        raise ClusterError(f"no runtime is called {config.runtime}: process, cri or cri://SOCKET")
    from podward.kubelet.runtime.cri import CriRuntime  # gRPC is loaded by whom it serves
    from podward.kubelet.runtime.cri.discovery import find

    engine = await find(config.runtime)
    instance = _instance(folder, entropy)
    return CriRuntime(engine.socket, instance=instance, exec_probes=config.exec_probes)


def _with_tokens(config: ClusterConfig) -> bool:
    if config.service_account_tokens is None:
        return config.runtime.partition("://")[0] != "process"
    return config.service_account_tokens


def _own_address(listen_host: str) -> str:
    """Where containers in this machine's network find who listens there."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}.get(
        listen_host, listen_host
    )


def _instance(folder: Path, entropy: Entropy) -> str:
    """Whose the sandboxes on an engine are; made once, kept with the data."""
    path = folder / "instance"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.write_text(entropy.hex(16))
        fresh.rename(path)  # whole or not at all: an empty one would be anybody's
    return path.read_text().strip()


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # nobody of that user number
        return None


def _node_facts(name: str, ip: str, runtime: Runtime) -> NodeFacts:
    machine = read_machine()
    return NodeFacts(
        name=name,
        ip=ip,
        architecture=machine.architecture,
        capacity={
            "cpu": str(machine.processors),
            "memory": f"{machine.memory_kib}Ki",
            "ephemeral-storage": f"{machine.disk_kib}Ki",
            "pods": "110",
        },
        boot_id=machine.boot_id,
        machine_id=machine.machine_id,
        kernel_version=machine.kernel,
        os_image=machine.os_image,
        kubelet_version=f"v{FOLLOWS}+podward.{__version__}",
        runtime_version=f"{runtime.name}://{runtime.version}",
    )
