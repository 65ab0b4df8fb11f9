"""A certificate rotates while it is in use: real TLS over loopback, days of a clock that is set by hand.

Two replicas serve; the second follows late. Clients come without pause, each with what an API server would
trust: the caBundle of this moment, or of a while ago. Some keep their connection through everything.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from tests.client.support import started
from tests.webhook.support import (
    HOUR,
    INSTALLATION,
    SHORT,
    Decreed,
    HandClock,
    bundle,
    install,
)

from podward.client.base import Client
from podward.machinery.entropy import Entropy
from podward.webhook import rotation
from podward.webhook.rotation import Bundles, ManagedCertificate, Rules, State, Step

NAME = SHORT.names[0]
TICK = timedelta(minutes=20)
"""How far behind an API server is; the second replica looks at every other tick. The rules allow for both."""
NO_CHECK_TIME = 0x200000
"""OpenSSL would ask the machine's clock whether a certificate is valid; the test asks its own."""


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@dataclass
class Load:
    """Clients, and what they saw."""

    clock: HandClock
    ports: list[int]
    served: int = 0
    failures: list[str] = field(default_factory=list)
    leaves: set[int] = field(default_factory=set)
    issuers: set[str] = field(default_factory=set)
    trusted: list[tuple[datetime, bytes]] = field(default_factory=list)
    """Since when which bundle."""

    def view(self, late: bool) -> bytes:
        """What an API server has read by now."""
        moment = self.clock.now() - (TICK if late else timedelta())
        known = [pem for since, pem in self.trusted if since <= moment]
        return known[-1] if known else self.trusted[0][1]

    async def burst(self) -> None:
        """At both replicas, from an API server that knows everything and from one that is late."""
        old_tls = bool(self.served // 8 % 2)
        await asyncio.gather(
            *(
                self.counted(self._once(self.view(late), port, old_tls=old_tls))
                for late in (False, True)
                for port in self.ports
            )
        )

    async def counted(self, request: Awaitable[None]) -> None:
        try:
            await request
            self.served += 1
        except (OSError, AssertionError, EOFError) as error:
            self.failures.append(f"{self.clock.now():%dd %H:%M} {error}")

    async def _once(self, trusted: bytes, port: int, *, old_tls: bool) -> None:
        reader, writer = await self.connect(trusted, port, old_tls=old_tls)
        try:
            await say(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    async def connect(
        self, trusted: bytes, port: int, *, old_tls: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context(cadata=trusted.decode())
        context.verify_flags |= NO_CHECK_TIME
        if old_tls:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        streams = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=NAME
        )
        shown = streams[1].get_extra_info("ssl_object").getpeercert(binary_form=True)
        certificate = x509.load_der_x509_certificate(shown)
        now = self.clock.now()
        assert certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
        self.leaves.add(certificate.serial_number)
        self.issuers.add(certificate.issuer.rfc4514_string())
        return streams


async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\n")
    if await reader.readline() != b"hello\n":
        raise EOFError("the connection was dropped")


class World:
    """Two replicas, the first of which leads, and the load on them."""

    def __init__(self, client: Client, clock: HandClock, rules: Rules) -> None:
        self.client = client
        self.clock = clock
        self.replicas = [
            ManagedCertificate(
                client,
                clock,
                Entropy(1),
                Decreed(leader),
                installation=INSTALLATION,
                rules=rules,
            )
            for leader in (True, False)
        ]
        self.load = Load(clock, [])
        self.kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def live(self, span: timedelta) -> Load:
        for number in range(span // TICK):
            self.clock.moment += TICK
            looking = [self.replicas[0].turn()]
            if number % 2 == 0:
                looking.append(self.replicas[1].turn())
            await asyncio.gather(*looking, self.load.burst())
            await self.note_trust()
            await self.load.burst()
            for streams in self.kept:
                await self.load.counted(say(*streams))
        return self.load

    async def note_trust(self) -> None:
        pem = await bundle(self.client)
        if not self.load.trusted or self.load.trusted[-1][1] != pem:
            self.load.trusted.append((self.clock.now(), pem))


@contextlib.asynccontextmanager
async def under_load(rules: Rules) -> AsyncIterator[World]:
    api = await started()
    await install(api.client)
    world = World(api.client, HandClock(), rules)
    async with contextlib.AsyncExitStack() as stack:
        for replica in world.replicas:
            server = await asyncio.get_running_loop().create_server(
                Echo, "127.0.0.1", 0, ssl=await replica.start()
            )
            stack.callback(server.close)
            world.load.ports.append(server.sockets[0].getsockname()[1])
        await world.note_trust()
        for port in world.load.ports:
            world.kept.append(await world.load.connect(world.load.view(late=False), port))
        yield world
        for _, writer in world.kept:
            writer.close()
            await writer.wait_closed()


def test_rotating_its_certificate_under_load_drops_nothing() -> None:
    async def a_day() -> Load:
        async with under_load(SHORT) as world:
            return await world.live(24 * HOUR)

    load = asyncio.run(a_day())
    assert load.failures == []
    assert load.served == 24 * 3 * (2 * 4 + 2)
    assert len(load.leaves) == 7, "the first, five renewals, and one of the new authority"
    assert len(load.issuers) == 2
    sizes = [pem.count(b"BEGIN") for _, pem in load.trusted]
    assert sizes == [1, 2, 1], "the new one, beside the old one, then alone"


Decision = Callable[[State, Bundles, datetime, Rules], Step]
right_order = rotation.rotation_step


def leaf_before_bundle(state: State, bundles: Bundles, now: datetime, rules: Rules) -> Step:
    step = right_order(state, bundles, now, rules)
    return replace(step, action="promote", bundles={}) if state.coming is not None else step


def leaf_with_bundle(state: State, bundles: Bundles, now: datetime, rules: Rules) -> Step:
    return right_order(state, bundles, now, replace(rules, propagation=timedelta()))


def old_authority_dropped_with_leaf(
    state: State, bundles: Bundles, now: datetime, rules: Rules
) -> Step:
    return right_order(state, bundles, now, replace(rules, overlap=timedelta()))


def new_authority_instead_of_the_old(
    state: State, bundles: Bundles, now: datetime, rules: Rules
) -> Step:
    step = right_order(state, bundles, now, rules)
    if state.coming is None:
        return step
    alone = dict.fromkeys(bundles, (state.coming.certificate,))
    return replace(step, bundles={p: b for p, b in alone.items() if b != bundles[p]})


@pytest.mark.parametrize(
    "wrong",
    [
        leaf_before_bundle,
        leaf_with_bundle,
        old_authority_dropped_with_leaf,
        new_authority_instead_of_the_old,
    ],
)
def test_any_other_order_is_noticed(wrong: Decision, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above would say if the order were another: it can fail."""
    monkeypatch.setattr(rotation, "rotation_step", wrong)
    failures = asyncio.run(a_short_life()).failures
    assert any("CERTIFICATE_VERIFY_FAILED" in failure for failure in failures)


def test_the_right_order_is_not() -> None:
    load = asyncio.run(a_short_life())
    assert load.failures == []
    assert len(load.issuers) == 2


async def a_short_life() -> Load:
    rules = replace(SHORT, authority_life=4 * HOUR, leaf_life=4 * HOUR)
    async with under_load(rules) as world:
        return await world.live(5 * HOUR)
