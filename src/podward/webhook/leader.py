"""Who of several replicas writes: a Lease in the API server says so, as client-go's leader election has it.

    candidate --(the Lease is free, or its holder has not renewed it for its whole duration)--> leader
    leader ----(it could not renew for `renew_deadline`, or another holds the Lease)----------> candidate
    leader ----(it stops)---> the Lease is given up, and the next candidate need not wait

A candidate never compares another's wall clock with its own: it waits for the duration from the moment at which
it *saw* the Lease change. And a leader counts its deadline from before it sent its last renewal, so it
ends 5 s before anybody else may begin, even if it was stopped in between: `is_leader` looks at the time.
What the algorithm does not promise: a request that was sent in time may arrive late. Writers therefore
send the resourceVersion that they have read, and lose against whoever came first.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from lightkube.models import coordination_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

_JITTER = 1.2
_RELEASE_SECONDS = 2.0
"""How long a program that ends waits for its Lease to be given up; then it just runs out."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds; what client-go's callers use."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry * _JITTER > 0:
            raise ValueError(
                "a leader must stop before others start, and try more than once before: "
                f"{self.duration} > {self.renew_deadline} > {_JITTER} x {self.retry} does not hold"
            )


class LeaderElector:
    """`identity` must be this process's own: a host's name and dice, say."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        entropy: Entropy,
        *,
        namespace: str,
        name: str,
        identity: str,
        timing: LeaseTiming = LeaseTiming(),
    ) -> None:
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing
        self._leading = False
        self._deadline = 0.0
        """In the loop's time: until when the last renewal counts."""
        self._seen = coordination_v1.LeaseSpec()
        self._seen_at = 0.0
        self._listeners: list[Callable[[], None]] = []
        self._complaint = ""

    @property
    def is_leader(self) -> bool:
        """Ask it anew before every write."""
        return self._leading and self._clock.monotonic() < self._deadline

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen; empty if nobody did."""
        return self._seen.holderIdentity or ""

    def on_change(self, listener: Callable[[], None]) -> None:
        """`listener` is called after this process became leader and after it ceased to be; it must not wait."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Until cancelled; then the Lease is given up."""
        try:
            while True:
                while not await self._try_within(self._timing.renew_deadline):
                    first = self._timing.retry
                    await asyncio.sleep(self._entropy.uniform(first, first * (1 + _JITTER)))
                self._turn(leading=True)
                await self._keep()
                self._turn(leading=False)
        finally:
            held = self.is_leader
            self._turn(leading=False)
            if held:
                await self._release()

    def _turn(self, *, leading: bool) -> None:
        if leading != self._leading:
            self._leading = leading
            log.info("%s %s", self._identity, "leads" if leading else "does not lead any more")
            for listener in self._listeners:
                listener()

    async def _keep(self) -> None:
        """Renew; returns when the Lease is lost."""
        while True:
            left = self._deadline - self._clock.monotonic()
            await asyncio.sleep(max(0.0, min(self._timing.retry, left)))
            left = self._deadline - self._clock.monotonic()
            if left <= 0:
                log.warning("%s could not renew its Lease in time", self._identity)
                return
            if not await self._try_within(left) and self.holder != self._identity:
                return

    async def _try_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._try()
        except TimeoutError:
            self._complain("the API server does not answer")
        except ApiError as error:
            if error.code != 409:  # a conflict: another was faster, and is seen the next time
                self._complain(str(error))
        except TransportError as error:
            self._complain(str(error))
        return False

    async def _try(self) -> bool:
        """Acquire or renew, once. True if the Lease is ours."""
        try:
            lease = await self._client.get(coordination_v1.Lease, self._name, self._namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            lease = coordination_v1.Lease(
                metadata=meta_v1.ObjectMeta(name=self._name, namespace=self._namespace)
            )
        spec = lease.spec or coordination_v1.LeaseSpec()
        self._see(spec)
        now = self._clock.monotonic()
        mine = spec.holderIdentity == self._identity
        valid = now < self._seen_at + (spec.leaseDurationSeconds or 0)
        if spec.holderIdentity and valid and not mine:
            return False
        lease = msgspec.structs.replace(lease, spec=self._claim(spec, mine=mine))
        known = lease.metadata is not None and lease.metadata.resourceVersion
        stored = await (self._client.update(lease) if known else self._client.create(lease))
        self._see(stored.spec or coordination_v1.LeaseSpec())
        self._deadline = now + self._timing.renew_deadline
        self._complaint = ""
        return True

    def _see(self, spec: coordination_v1.LeaseSpec) -> None:
        if spec != self._seen:
            self._seen, self._seen_at = spec, self._clock.monotonic()

    def _claim(self, spec: coordination_v1.LeaseSpec, *, mine: bool) -> coordination_v1.LeaseSpec:
        now = self._moment()
        transitions = spec.leaseTransitions or 0
        return msgspec.structs.replace(
            spec,
            holderIdentity=self._identity,
            leaseDurationSeconds=int(self._timing.duration),
            acquireTime=spec.acquireTime if mine else now,
            renewTime=now,
            # The first holder of a Lease that nobody had is no transition.
            leaseTransitions=transitions if mine or spec.renewTime is None else transitions + 1,
        )

    def _moment(self) -> meta_v1.MicroTime:
        """Never on a whole second: a Go server wants six digits behind it, and JSON encoders drop zeros."""
        now = self._clock.now()
        return now.replace(microsecond=max(1, now.microsecond))

    async def _release(self) -> None:
        """Others see it at once, and need not wait."""
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                lease = await self._client.get(coordination_v1.Lease, self._name, self._namespace)
                if lease.spec is None or lease.spec.holderIdentity != self._identity:
                    return
                now = self._moment()
                free = msgspec.structs.replace(
                    lease.spec,
                    holderIdentity=None,
                    leaseDurationSeconds=1,
                    acquireTime=now,
                    renewTime=now,
                )
                await self._client.update(msgspec.structs.replace(lease, spec=free))
        except (TimeoutError, ApiError, TransportError) as error:
            log.warning("%s cannot give up its Lease: %s", self._identity, error)

    def _complain(self, text: str) -> None:
        """Once an outage."""
        if text != self._complaint:
            self._complaint = text
            lease = f"{self._namespace}/{self._name}"
            log.warning("%s cannot get or renew the Lease %s: %s", self._identity, lease, text)
