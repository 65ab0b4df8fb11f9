"""The composition root: the only place that knows which parts make a whole.

`Cluster` joins API server, scheduler and kubelet around a store, a runtime, a clock and dice; it opens nothing
and listens nowhere, so the simulator builds the very same cluster in virtual time. `standalone.py` gives it
this machine's store, runtime, lock and HTTPS port.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from podward.admission.base import AdmissionPlugin
from podward.admission.chain import AdmissionChain
from podward.admission.plugins.admission_webhooks import (
    MutatingAdmissionWebhook,
    ValidatingAdmissionWebhook,
)
from podward.admission.plugins.default_toleration_seconds import (
    DefaultTolerationSeconds,
    as_it_came,
)
from podward.admission.plugins.pod_preset.model import Notice
from podward.admission.plugins.pod_preset.plugin import PodPreset
from podward.admission.plugins.priority import Priority
from podward.admission.plugins.runtime_class import RuntimeClass
from podward.admission.plugins.service_account import ServiceAccount
from podward.api.scheme import SCHEME
from podward.apiserver import discovery, openapi
from podward.apiserver.app import ApiServer
from podward.apiserver.authentication import Authenticator
from podward.apiserver.identity import SYSTEM, Identity
from podward.apiserver.metrics import Aside, MetricsPage, in_the_loop
from podward.apiserver.service_account_tokens import SigningKey
from podward.client.api_client import ApiClient
from podward.client.base import Transport
from podward.client.recorder import EventRecorder
from podward.client.transports.in_process import InProcessTransport
from podward.controllers.pod_preset.controller import PresetController
from podward.controllers.pod_preset.metrics import PresetMetrics
from podward.controllers.pod_preset.reporter import PresetReporter
from podward.kubelet.api_access import ApiAccess
from podward.kubelet.container_logs import LogLimits, LogRotation
from podward.kubelet.image_credentials import Places
from podward.kubelet.node import NodeFacts
from podward.kubelet.runtime.base import Runtime
from podward.kubelet.server import NodeServer
from podward.kubelet.sync_loop import Kubelet
from podward.kubelet.volume_limits import Aside as LookAside
from podward.kubelet.volume_limits import in_the_loop as look_in_the_loop
from podward.kubelet.volume_mounter import Mounter
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.machinery.http_client import HttpClient
from podward.machinery.network import Network
from podward.scheduler.scheduler import SCHEDULER_NAME, Scheduler
from podward.store.base import Store

log = logging.getLogger(__name__)

PodPresets = Literal["safe", "compat", "off"]
"""What becomes of presets: merged with care, as Kubernetes 1.19 did it, or not at all."""


def admission_order(
    pod_presets: PodPresets,
    notice: Callable[[Notice], None],
    http_client: HttpClient,
    entropy: Entropy,
    *,
    service_account_tokens: bool = False,
) -> list[AdmissionPlugin]:
    """Row = plug-in; they mutate in this order, then validate in this order. It is Kubernetes' own."""
    rows: tuple[AdmissionPlugin | None, ...] = (
        None if pod_presets == "off" else PodPreset(pod_presets, notice),
        ServiceAccount(entropy.name_suffix if service_account_tokens else None),
        Priority(),
        DefaultTolerationSeconds(),
        RuntimeClass(),
        MutatingAdmissionWebhook(http_client, entropy),
        ValidatingAdmissionWebhook(http_client, entropy),
    )
    return [plugin for plugin in rows if plugin is not None]


class Cluster:
    """API server, scheduler and kubelet around one store, runtime, clock and source of dice."""

    def __init__(
        self,
        *,
        store: Store,
        runtime: Runtime,
        clock: Clock,
        entropy: Entropy,
        network: Network,
        http_client: HttpClient,
        root: Path,
        facts: NodeFacts,
        authenticate: Authenticator,
        transport: Callable[[ApiServer, Identity], Transport] = InProcessTransport,
        aside: Aside = in_the_loop,
        pod_presets: PodPresets = "safe",
        allowed_unsafe_sysctls: Sequence[str] = (),
        mounter: Mounter | None = None,
        look_aside: LookAside = look_in_the_loop,
        machine_credentials: Callable[[], Places] = dict,
        log_limits: LogLimits | None = None,
        signing_key: SigningKey | None = None,
        root_ca: str = "",
        service_address: str = "",
        service_account_tokens: bool = False,
        api_access: ApiAccess | None = None,
    ) -> None:
        """`transport`: how scheduler and kubelet reach the API server; `http_client`: how it asks webhooks;
        `aside`: where metrics are written; `mounter`: for volumes, where it may be done; `look_aside`: where
        their sizes are counted; `signing_key`, `root_ca`, `service_address`: as for `ApiServer`."""
        self.clock = clock
        self._transport = transport
        self._pod_presets = pod_presets
        self.runtime = runtime
        self.node_server = NodeServer(runtime, clock, network)
        metrics = MetricsPage(aside)
        self.apiserver = ApiServer(
            store,
            clock,
            entropy,
            admission=AdmissionChain(
                admission_order(
                    pod_presets,
                    self._preset_notice,
                    http_client,
                    entropy,
                    service_account_tokens=service_account_tokens,
                )
            ),
            node_access=self.node_server,
            authenticate=authenticate,
            extra_routes={
                **discovery.routes(SCHEME),
                **openapi.routes(SCHEME),
                "/metrics": metrics,
            },
            signing_key=signing_key,
            root_ca=root_ca,
            service_address=service_address,
        )
        self.client = self.client_for(SYSTEM)
        self._recorders = [
            EventRecorder(self.client, clock, entropy, component=component, host=facts.name)
            for component in (SCHEDULER_NAME, "kubelet", "podward-presets")
        ]
        self._scheduler = Scheduler(self.client, clock, entropy, self._recorders[0])
        self.kubelet = Kubelet(
            self.client,
            runtime,
            clock,
            entropy,
            facts=facts,
            root=root,
            recorder=self._recorders[1],
            network=network,
            started_at=clock.now(),
            allowed_sysctls=allowed_unsafe_sysctls,
            mounter=mounter,
            aside=look_aside,
            machine_credentials=machine_credentials,
            api_access=api_access,
        )
        self._log_rotation = LogRotation(runtime, clock, root / "logs", log_limits or LogLimits())
        preset_metrics = PresetMetrics()
        self._presets = PresetController(self.client, clock, entropy, as_it_came=as_it_came)
        self.preset_reporter = PresetReporter(
            self._recorders[2], preset_metrics, self._presets.observe
        )
        for source in (
            self.apiserver.families,
            preset_metrics.families,
            self._presets.families,
        ):
            metrics.add(source)
        self._tasks: list[asyncio.Task[None]] = []

    def _preset_notice(self, notice: Notice) -> None:
        """What the plug-in calls. It is made before its listener: that speaks through the API server."""
        self.preset_reporter(notice)

    def client_for(self, identity: Identity) -> ApiClient:
        return ApiClient(self._transport(self.apiserver, identity))

    async def start(self) -> None:
        await self.apiserver.bootstrap()
        parts = {
            "events": self.apiserver.run_event_ttl(),
            "namespaces": self.apiserver.run_namespace_lifecycle(),
            "secret-tokens": self.apiserver.run_secret_tokens(),
            "scheduler": self._scheduler.run(),
            "kubelet": self.kubelet.run(),
        }
        if self._pod_presets != "off":  # else a webhook merges them, and writes their status
            parts["presets"] = self._presets.run()
        if self.runtime.rotates_logs:
            parts["logs"] = self._log_rotation.run()
        parts |= {f"recorder-{i}": r.run() for i, r in enumerate(self._recorders)}
        self._tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]

    async def wait(self) -> None:
        """Returns never, unless a part died: then raises what killed it. Who waits no longer ends nothing."""
        await asyncio.gather(*map(asyncio.shield, self._tasks))

    async def kill(self) -> None:
        """End every part where it stands, as `kill -9` does: nothing that waits to be written is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self, *, stop_pods: bool, remove_pods: bool = False) -> None:
        """Containers stay, unless `stop_pods`; what was said is written first."""
        await self.kubelet.stop(stop_pods=stop_pods, remove_pods=remove_pods)
        for recorder in self._recorders:
            await recorder.flush()
        await self.kill()
