"""A certificate that the webhook makes for itself, and how its authority is replaced without a failed call.

All state is in one Secret; API servers are told whom to trust by the `caBundle` of each webhook. Whatever is
served must be trusted by what API servers *have read by now*, not by what was written just now. So the order:

    authority due:  next-ca is made -> it stands in every caBundle BESIDE the old one -> `propagation` passes
                    -> next-ca becomes ca, a leaf of it is served -> `overlap` passes -> the old one is dropped
    leaf due:       a new one of the same authority; no caBundle is touched

`rotation_step` decides: a pure function of the Secret, the bundles and the time. `ManagedCertificate` reads,
asks it, does one thing and reads again. Only the leader writes, always against the version that it has read;
everyone serves what the Secret holds. A leader that dies leaves a state from which the next one goes on.

What others do to a caBundle: emptied (manifests replaced) it is filled again; an authority that is not ours
stays until it has expired.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from lightkube.models import admissionregistration_v1, core_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.client.informer import Informer
from podward.machinery.alarm import Alarm
from podward.machinery.certificates import Pair, facts_of, split_bundle
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.webhook.certificates import NEVER, LiveContext
from podward.webhook.naming import Installation
from podward.webhook.rotation_step import (
    Action,
    Place,
    Rules,
    State,
    Step,
    apply,
    decoded,
    encoded,
    lives,
    read_state,
    rotation_step,
    write_state,
)

T = TypeVar("T")

_LOOK_AGAIN_SECONDS = 300.0
"""Without a reason: a wall clock may have been set, a watch may have been lost."""
_RETRY_FIRST_SECONDS = 5.0
_RETRY_LAST_SECONDS = 60.0
_STEPS_AT_ONCE = 20
"""A rotation takes two or three; more is a quarrel with somebody else, which is better carried on slowly."""

log = logging.getLogger(__name__)


class Leader(Protocol):
    """Of a `LeaderElector`, what is needed here."""

    @property
    def is_leader(self) -> bool: ...

    def on_change(self, listener: Callable[[], None]) -> None: ...


_CONFIGURATION_KINDS: tuple[type[Any], ...] = (
    admissionregistration_v1.MutatingWebhookConfiguration,
    admissionregistration_v1.ValidatingWebhookConfiguration,
)


@dataclass(slots=True)
class _Read:
    """What one look found."""

    secret: core_v1.Secret | None
    state: State
    configurations: dict[str, Any] = field(default_factory=dict)
    """By kind; those that exist."""

    def bundles(self) -> dict[Place, tuple[bytes, ...]]:
        return {
            (kind, index): split_bundle(decoded(webhook.clientConfig.caBundle or ""))
            for kind, configuration in self.configurations.items()
            for index, webhook in enumerate(configuration.webhooks or ())
        }


class ManagedCertificate:
    """A `ServingCertificate` that makes itself. The leader's `run` must be under way before `start`."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        entropy: Entropy,
        leader: Leader,
        *,
        installation: Installation,
        more_names: Sequence[str] = (),
        rules: Rules | None = None,
    ) -> None:
        """`more_names`: names or addresses beside the Service's own. `rules`: all of them, names included."""
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._leader = leader
        self._installation = installation
        self._rules = rules or Rules(installation.server_names(more_names))
        self._live = LiveContext()
        self._alarm = Alarm()
        self._refused: Pair | None = None
        self._complaint = ""
        self._retry = _RETRY_FIRST_SECONDS
        self._authority_not_after = NEVER
        leader.on_change(self._alarm.ring)

    @property
    def not_after(self) -> datetime:
        return self._live.not_after

    @property
    def authority_not_after(self) -> datetime:
        """When the authority in use ends; 1970 if none was seen yet."""
        return self._authority_not_after

    async def start(self) -> ssl.SSLContext:
        while self._live.served is None:
            delay = await self._turn_patiently()
            if self._live.served is None:
                # Somebody else may be the leader, and about to write what we wait for.
                await asyncio.sleep(min(delay, self._entropy.uniform(0.5, 1.0)))
        return self._live.context

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(core_v1.Secret, self._installation.managed_secret))
            for kind in _CONFIGURATION_KINDS:
                group.create_task(self._watch(kind, self._installation.configuration))
            group.create_task(self._work())

    async def _watch(self, kind: type[Any], name: str) -> None:
        """One object only: that is all that we may see."""
        informer = Informer(
            self._client,
            kind,
            namespace=self._installation.namespace if kind is core_v1.Secret else "",
            field_selector=f"metadata.name={name}",
            clock=self._clock,
            entropy=self._entropy,
        )
        await informer.run(lambda change, obj: self._alarm.ring())

    async def _work(self) -> None:
        while True:
            delay = await self._turn_patiently()
            await self._alarm.wait_until(asyncio.get_running_loop().time() + delay)

    async def _turn_patiently(self) -> float:
        try:
            delay = await self.turn()
        except (ApiError, TransportError) as error:
            self._complain(str(error))
            retry, self._retry = self._retry, min(2 * self._retry, _RETRY_LAST_SECONDS)
            return self._entropy.uniform(retry, 1.5 * retry)
        self._complaint, self._retry = "", _RETRY_FIRST_SECONDS
        return delay

    async def turn(self) -> float:
        """Look, serve what the Secret holds, and do all that is due. Returns seconds until the next look.

        Raises `ApiError`, `TransportError`.
        """
        lost: ApiError | None = None
        for _ in range(_STEPS_AT_ONCE):
            try:
                step, done = await self._step()
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
                lost = error  # somebody was faster: read again
                continue
            if not done:
                return self._delay(step)
        if lost is not None:
            raise lost
        return _RETRY_FIRST_SECONDS

    async def _step(self) -> tuple[Step | None, bool]:
        """One look and what it leads to; True if anything was written, so that another look is needed."""
        secret = await self._find(
            core_v1.Secret, self._installation.managed_secret, self._installation.namespace
        )
        read = _Read(secret, read_state(secret))
        self._follow(read.state)
        if not self._leader.is_leader:
            return None, False
        for kind in _CONFIGURATION_KINDS:
            found = await self._find(kind, self._installation.configuration)
            if found is not None:
                read.configurations[kind.__name__] = found
        step = rotation_step(read.state, read.bundles(), self._clock.now(), self._rules)
        # Bundles first: what is served later is trusted by then.
        refusal = await self._publish(read, step)
        if step.action is not None and self._leader.is_leader:
            await self._store(read, step.action)
        elif refusal is not None:
            raise refusal
        return step, step.action is not None or bool(step.bundles)

    def _delay(self, step: Step | None) -> float:
        if step is None or step.next_at is None:
            return _LOOK_AGAIN_SECONDS
        left = (step.next_at - self._clock.now()).total_seconds()
        return min(max(left, 0.001), _LOOK_AGAIN_SECONDS)

    def _follow(self, state: State) -> None:
        """Serve the leaf of the Secret, unless it cannot be used: then what is served stays."""
        if state.authority is not None:
            facts = facts_of(state.authority.certificate)
            self._authority_not_after = facts.not_after if facts is not None else NEVER
        leaf = state.leaf
        if leaf is None or leaf in (self._live.served, self._refused):
            return
        if not lives(leaf.certificate, self._clock.now()):
            self._refused = leaf
            log.warning("the certificate in %s has ended", self._where())
            return
        try:
            self._live.serve(leaf)
        except ValueError as error:
            self._refused = leaf
            log.warning("the certificate in %s is not served: %s", self._where(), error)
        else:
            log.info("serving a certificate until %s", f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}")

    async def _publish(self, read: _Read, step: Step) -> ApiError | None:
        """Write bundles; what one configuration refuses must not keep a leaf from being renewed."""
        refusal = None
        for kind in _CONFIGURATION_KINDS:
            name = kind.__name__
            changes = {
                index: bundle for (where, index), bundle in step.bundles.items() if where == name
            }
            if not changes or not self._leader.is_leader:
                continue
            version = read.configurations[name].metadata.resourceVersion
            # A JSON patch that names the version it was made for: it conflicts rather than undo
            # what somebody else added, and it owns no field but these.
            patch = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
            patch += [
                {
                    "op": "add",
                    "path": f"/webhooks/{index}/clientConfig/caBundle",
                    "value": encoded(b"".join(bundle)),
                }
                for index, bundle in changes.items()
            ]
            try:
                await self._client.patch(
                    kind, self._installation.configuration, patch, patch_type="json"
                )
            except ApiError as error:
                if error.code in (404, 409):
                    raise
                refusal = error
            else:
                log.info("the caBundle of %s/%s is written", name, self._installation.configuration)
        return refusal

    async def _store(self, read: _Read, action: Action) -> None:
        state = apply(action, read.state, self._clock.now(), self._rules)
        if read.secret is not None:
            await self._client.update(write_state(read.secret, state))
        else:
            metadata = meta_v1.ObjectMeta(
                name=self._installation.managed_secret, namespace=self._installation.namespace
            )
            fresh = core_v1.Secret(metadata=metadata, type="Opaque")
            await self._client.create(write_state(fresh, state))
        log.info("certificates in %s: %s", self._where(), action)

    async def _find(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        try:
            return await self._client.get(kind, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def _where(self) -> str:
        return f"Secret {self._installation.namespace}/{self._installation.managed_secret}"

    def _complain(self, text: str) -> None:
        """Once an outage."""
        if text != self._complaint:
            self._complaint = text
            log.warning("cannot keep %s and the caBundles: %s", self._where(), text)
