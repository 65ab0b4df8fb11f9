"""`podward webhook`: its parts, begun in an order that misses no preset and ended in one that fails nobody.

    begin:  a certificate -> the port (readyz says 503) -> presets are known: ready
    end:    not ready, still serving for `drain_seconds` -> what is under way is answered -> the rest

In between an API server learns from the Service that it should go elsewhere, and every answer tells it to come
on a new connection.
"""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from podward.admission.plugins.pod_preset.model import Mode
from podward.apiserver.serving import HttpsServer
from podward.client.access import Access, AccessError, from_kubeconfig, in_cluster
from podward.client.api_client import ApiClient
from podward.client.recorder import EventRecorder
from podward.client.transports.http import HttpTransport
from podward.controllers.pod_preset.controller import PresetController
from podward.controllers.pod_preset.reporter import PresetReporter
from podward.machinery.clock import Clock, SystemClock
from podward.machinery.entropy import Entropy
from podward.machinery.http_client import SystemHttpClient
from podward.webhook.access import NoAccessReview, SubjectAccessReviewer
from podward.webhook.app import WebhookApp, place_of
from podward.webhook.certificates import FileCertificate, ServingCertificate
from podward.webhook.leader import LeaderElector
from podward.webhook.metrics import WebhookMetrics
from podward.webhook.naming import Installation
from podward.webhook.presets import (
    WEBHOOK_SCHEME,
    WITH_STATUS,
    PresetCache,
    PresetClient,
    SettingsPodPreset,
)
from podward.webhook.rotation import ManagedCertificate

GRACE_SECONDS: Final = 10
"""How long a request that is under way may take when everything else has ended."""
COMPONENT: Final = "podward-webhook"
"""Who Events are from."""
_USUAL: Final = Installation()
_KEEP_ALIVE_SECONDS: Final = 120
"""Longer than an API server keeps a connection that rests (90 s): it is the one to hang up."""

log = logging.getLogger(__name__)


class WebhookError(Exception):
    """It cannot be begun, or cannot go on; the text is the one line that the user reads."""


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    kubeconfig: Path | None = None
    """None: as a Pod of its cluster."""
    listen_host: str = "0.0.0.0"
    listen_port: int = 8443
    certificate: Path | None = None
    key: Path | None = None
    """Files; without them it makes its certificate itself."""
    service: str = _USUAL.name
    namespace: str = ""
    """Of its Lease and its Secret; empty: the identity's own."""
    mode: Mode = "safe"
    strict: bool = False
    drain_seconds: float = 10.0
    count_pods: bool = False
    access_review: bool = True


@dataclass(frozen=True, slots=True)
class Ready:
    url: str
    cluster: str
    """URL of the API server whose presets these are."""
    presets: int


async def serve(
    config: WebhookConfig, *, ready: Callable[[Ready], None], stop: asyncio.Event
) -> None:
    """Until `stop` is set; then it drains. Raises `WebhookError`."""
    asyncio.get_running_loop().set_exception_handler(_without_noise)
    clock, entropy = SystemClock(), Entropy()
    async with contextlib.AsyncExitStack() as cleanup:
        access = _access(config)
        http = SystemHttpClient()
        cleanup.push_async_callback(http.close)
        transport = HttpTransport(access, http)
        cleanup.callback(transport.close)
        parts = _Parts(config, access, transport, clock, entropy)
        background = _Background(stop)
        cleanup.push_async_callback(background.end)
        parts.begin(background)
        await _serve_until_stopped(config, parts, background, cleanup, ready)
    background.raise_failure()


async def _serve_until_stopped(
    config: WebhookConfig,
    parts: "_Parts",
    background: "_Background",
    cleanup: contextlib.AsyncExitStack,
    ready: Callable[[Ready], None],
) -> None:
    context = await background.wait_for(parts.certificate.start())
    if context is None:
        return
    background.add("certificate", parts.certificate.run())
    server, url = await _listening(config, parts.app, context)
    cleanup.push_async_callback(parts.recorder.flush)
    cleanup.push_async_callback(server.stop)
    if await background.wait_for(parts.presets.wait_synced()):
        ready(Ready(url, parts.url, parts.presets.count))
        await background.wait_for(asyncio.Event().wait())
    parts.app.drain()
    if background.stopped:
        await asyncio.sleep(config.drain_seconds)


def _without_noise(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """uvloop calls it a fatal error, with a traceback, when a connection is given up while TLS is agreed on:
    it writes to the socket that it has just closed. Whoever waited for the connection knows already."""
    if context.get("message") == "Fatal error on SSL protocol":
        log.debug("a connection was given up: %s", context.get("exception"))
    else:
        loop.default_exception_handler(context)


def _access(config: WebhookConfig) -> Access:
    try:
        access = from_kubeconfig(config.kubeconfig) if config.kubeconfig else in_cluster()
    except AccessError as error:
        raise WebhookError(str(error)) from None
    if access is None:
        raise WebhookError("this is no Pod of a cluster: say which cluster with --kubeconfig")
    return access


async def _listening(
    config: WebhookConfig, app: WebhookApp, context: ssl.SSLContext
) -> tuple[HttpsServer, str]:
    server = HttpsServer(
        app,
        host=config.listen_host,
        port=config.listen_port,
        credentials=context,
        grace_seconds=GRACE_SECONDS,
        keep_alive_seconds=_KEEP_ALIVE_SECONDS,
    )
    shown = f"[{config.listen_host}]" if ":" in config.listen_host else config.listen_host
    try:
        port = await server.start()
    except OSError as error:
        address = f"{shown}:{config.listen_port}"
        raise WebhookError(f"cannot listen on {address}: {error.strerror or error}") from None
    return server, f"https://{shown}:{port}"


class _Parts:
    """What one webhook is made of."""

    def __init__(
        self,
        config: WebhookConfig,
        access: Access,
        transport: HttpTransport,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        host = os.uname().nodename
        client = ApiClient(transport, WEBHOOK_SCHEME)
        namespace = config.namespace or access.namespace or "default"
        installation = Installation(namespace, config.service)
        self.url = transport.url
        self._leader = LeaderElector(
            client, clock, entropy,
            namespace=namespace, name=installation.lease, identity=f"{host}_{entropy.uuid4()}",
        )  # fmt: skip
        self.certificate: ServingCertificate = (
            FileCertificate(config.certificate, config.key, clock)
            if config.certificate is not None and config.key is not None
            else ManagedCertificate(client, clock, entropy, self._leader, installation=installation)
        )
        self.presets = PresetCache(
            PresetClient(transport, clock, optional=[SettingsPodPreset]),
            clock,
            entropy,
            strict=config.strict,
        )
        self.metrics = WebhookMetrics()
        self.recorder = EventRecorder(client, clock, entropy, component=COMPONENT, host=host)
        self._statuses = PresetController(
            client, clock, entropy, kinds=WITH_STATUS, count_pods=config.count_pods,
            is_leader=lambda: self._leader.is_leader,
        )  # fmt: skip
        self.app = WebhookApp(
            self.presets,
            clock,
            self.metrics,
            mode=config.mode,
            access=SubjectAccessReviewer(client) if config.access_review else NoAccessReview(),
            tell=PresetReporter(self.recorder, self.metrics, self._statuses.observe),
        )
        self.metrics.watch(
            invalid=lambda: self.presets.invalid,
            age=lambda: self.presets.age,
            not_after=lambda: self.certificate.not_after,
            ready=lambda: self.app.ready,
        )

    def begin(self, background: "_Background") -> None:
        background.add("statuses", run_while_leader(self._leader, self._statuses.run))
        background.add("leader election", self._leader.run())
        background.add("presets", self.presets.run())
        background.add("events", self.recorder.run())


class Leader(Protocol):
    """Of a `LeaderElector`, what is needed here."""

    @property
    def is_leader(self) -> bool: ...

    def on_change(self, listener: Callable[[], None]) -> None: ...


async def run_while_leader(leader: Leader, part: Callable[[], Awaitable[None]]) -> None:
    """`part`, begun when this replica becomes the leader and cancelled when it is no longer."""
    changed = asyncio.Event()
    leader.on_change(changed.set)
    while True:
        changed.clear()
        if not leader.is_leader:
            await changed.wait()
            continue
        running, waiting = asyncio.ensure_future(part()), asyncio.ensure_future(changed.wait())
        try:
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
        finally:
            running.cancel()
            waiting.cancel()
            await asyncio.gather(running, waiting, return_exceptions=True)


class _Background:
    """Tasks that run as long as the program does. The first that ends, ends it: none of them should."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._tasks: list[asyncio.Task[Any]] = []
        self._stop = stop
        self._stopping = asyncio.ensure_future(stop.wait())

    @property
    def stopped(self) -> bool:
        """As it was asked to, and not for a failure."""
        return self._stop.is_set()

    def add(self, name: str, part: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(part, name=name))

    async def wait_for(self, part: Coroutine[Any, Any, Any]) -> Any:
        """What `part` returns (True for None); None if the program is to end first."""
        waited = asyncio.ensure_future(part)
        try:
            await asyncio.wait(
                (waited, self._stopping, *self._tasks), return_when=asyncio.FIRST_COMPLETED
            )
            if not waited.done():
                return None
            result = waited.result()
            return True if result is None else result
        finally:
            waited.cancel()
            await asyncio.gather(waited, return_exceptions=True)

    async def end(self) -> None:
        for task in (*self._tasks, self._stopping):
            if not task.done():
                task.cancel()
        await asyncio.gather(*self._tasks, self._stopping, return_exceptions=True)

    def raise_failure(self) -> None:
        """Of a part that failed. It can only be a defect; its text may quote a value, so its place is told."""
        for task in self._tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise WebhookError(f"{task.get_name()} failed: {place_of(error)}") from error
