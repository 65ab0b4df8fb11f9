"""A certificate that makes itself, over a real API server in virtual time."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import EPOCH, Api, Line, started
from tests.webhook.support import (
    HOUR,
    INSTALLATION,
    MUTATING,
    SHORT,
    VALIDATING,
    Decreed,
    bundle,
    configure,
    in_bundle,
    install,
    leaf_of,
    secret,
    set_bundle,
)

from podward.apiserver.identity import SYSTEM
from podward.client.api_client import ApiClient
from podward.client.base import Response
from podward.client.transports.in_process import InProcessTransport
from podward.machinery.certificates import (
    Pair,
    facts_of,
    is_issued_by,
    make_authority,
    split_bundle,
)
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.webhook.leader import LeaderElector
from podward.webhook.rotation import (
    Leader,
    ManagedCertificate,
    Rules,
    State,
    read_state,
    write_state,
)

HASTY = replace(
    SHORT,
    authority_life=6 * HOUR,
    leaf_life=2 * HOUR,
    propagation=timedelta(minutes=20),
    overlap=timedelta(minutes=30),
)
"""A life in a morning: leaves are due every 80 minutes, the authority after 4 h."""


class Replica:
    """One process of the webhook, as far as certificates go."""

    def __init__(
        self, api: Api, leader: Leader, number: int, rules: Rules, line: Line | None = None
    ) -> None:
        self.line = line or Line(InProcessTransport(api.server, SYSTEM))
        self.leader = leader
        self.certificate = ManagedCertificate(
            ApiClient(self.line), api.clock, Entropy(number), leader, installation=INSTALLATION, rules=rules,
        )  # fmt: skip
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.certificate.start()
        self.task = asyncio.create_task(self.certificate.run())

    @property
    def served(self) -> Pair:
        served = self.certificate._live.served
        assert served is not None
        return served

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class World:
    def __init__(self, api: Api, replicas: list[Replica]) -> None:
        self.api = api
        self.client = api.client
        self.replicas = replicas

    async def authority(self) -> Pair | None:
        return read_state(await secret(self.client)).authority

    async def is_sound(self) -> None:
        """Every replica serves one leaf, which both configurations trust."""
        assert len({replica.served for replica in self.replicas}) == 1
        for kind in (MUTATING, VALIDATING):
            trusted = await bundle(self.client, kind)
            leaf = self.replicas[0].served.certificate
            assert any(is_issued_by(leaf, authority) for authority in split_bundle(trusted))


def play(
    scenario: Callable[[World], Awaitable[None]], rules: Rules = SHORT, replicas: int = 2
) -> None:
    async def whole() -> None:
        api = await started()
        await install(api.client)
        made = [Replica(api, Decreed(n == 0), n, rules) for n in range(replicas)]
        await asyncio.gather(*(replica.start() for replica in made))
        world = World(api, made)
        try:
            await scenario(world)
        finally:
            await asyncio.gather(*(replica.stop() for replica in made))

    run(whole())


def test_the_first_start_tells_everyone_before_it_serves() -> None:
    async def scenario(world: World) -> None:
        await world.is_sound()
        assert world.api.clock.now() < EPOCH + timedelta(seconds=3)
        certificate = world.replicas[1].certificate
        facts = facts_of(world.replicas[1].served.certificate)
        assert facts is not None
        assert facts.names == set(INSTALLATION.server_names())
        assert certificate.not_after == facts.not_after
        assert certificate.authority_not_after > certificate.not_after
        stored = await secret(world.client)
        assert sorted(stored.data or {}) == ["ca.crt", "ca.key", "tls.crt", "tls.key"]

    play(scenario)


def test_half_a_day_passes_and_nothing_stays_behind() -> None:
    async def scenario(world: World) -> None:
        for _ in range(34):
            await asyncio.sleep(1200)
            await world.is_sound()
            now = world.api.clock.now()
            assert all(replica.certificate.not_after > now for replica in world.replicas)
        assert (await bundle(world.client)).count(b"BEGIN") == 1
        assert set((await secret(world.client)).data or {}) == {
            "ca.crt", "ca.key", "tls.crt", "tls.key",
        }  # fmt: skip

    play(scenario, HASTY)


def test_manifests_applied_again_cost_a_moment() -> None:
    async def scenario(world: World) -> None:
        before = await bundle(world.client)
        await set_bundle(world.client, [])
        await asyncio.sleep(0.01)
        assert await bundle(world.client) == before

    play(scenario)


def test_a_deleted_configuration_that_comes_back_is_filled() -> None:
    """The emergency step, and the way back from it."""

    async def scenario(world: World) -> None:
        for kind in (MUTATING, VALIDATING):
            await world.client.delete(kind, INSTALLATION.configuration)
        await asyncio.sleep(60)
        await configure(world.client)
        await asyncio.sleep(0.01)
        await world.is_sound()

    play(scenario)


def test_another_authority_in_the_bundle_is_kept_until_it_has_expired() -> None:
    async def scenario(world: World) -> None:
        foreign = make_authority("corporate", now=EPOCH, life=6 * HOUR).certificate
        await set_bundle(world.client, [foreign])
        await asyncio.sleep(1)
        await world.is_sound()
        await asyncio.sleep(5.5 * 3600)
        assert in_bundle(foreign, await bundle(world.client)), "through a rotation"
        await asyncio.sleep(1800)
        assert not in_bundle(foreign, await bundle(world.client))
        await world.is_sound()

    play(scenario, HASTY)


def test_a_lost_secret_is_made_anew_without_letting_down_what_is_served() -> None:
    async def scenario(world: World) -> None:
        old = world.replicas[0].served
        await world.client.delete(
            core_v1.Secret, INSTALLATION.managed_secret, INSTALLATION.namespace
        )
        await asyncio.sleep(39 * 60)
        await world.is_sound()
        assert world.replicas[0].served == old, "until every API server knows the new authority"
        assert (await bundle(world.client)).count(b"BEGIN") == 2
        await asyncio.sleep(2 * 60)
        await world.is_sound()
        assert world.replicas[0].served != old

    play(scenario)


def test_a_spoilt_secret_leaves_what_is_served_and_is_mended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(world: World) -> None:
        old = world.replicas[1].served
        patch = {"data": {"tls.key": base64.b64encode(b"rubbish").decode()}}
        await world.client.patch(
            core_v1.Secret,
            INSTALLATION.managed_secret,
            patch,
            namespace=INSTALLATION.namespace,
            patch_type="merge",
        )
        assert world.replicas[1].served == old
        await asyncio.sleep(1)
        await world.is_sound()
        assert world.replicas[1].served != old

    play(scenario)


def test_only_the_leader_writes() -> None:
    async def scenario(world: World) -> None:
        follower = world.replicas[1]
        world.replicas[0].line.down = True
        await set_bundle(world.client, [])
        await asyncio.sleep(7 * 3600)
        assert await bundle(world.client) == b""
        assert {m for m, _ in follower.line.asked} == {"GET", "WATCH"}
        assert isinstance(follower.leader, Decreed)
        follower.leader.turn(True)
        await asyncio.sleep(1)
        assert (await bundle(world.client)).count(b"BEGIN") == 1
        assert follower.certificate.not_after > world.api.clock.now()

    play(scenario)


def test_an_outage_of_the_api_is_told_once_and_made_up_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(world: World) -> None:
        for replica in world.replicas:
            replica.line.down = True
        await asyncio.sleep(5 * 3600)
        for replica in world.replicas:
            replica.line.down = False
        await asyncio.sleep(90)
        await world.is_sound()
        facts = facts_of(world.replicas[0].served.certificate)
        assert facts is not None
        assert facts.not_before > EPOCH + 4 * HOUR

    with caplog.at_level(logging.WARNING, "podward.webhook"):
        play(scenario)
    said = [r.message for r in caplog.records if "cannot keep" in r.message]
    assert len(said) == 2


def test_two_that_take_themselves_for_the_leader_do_no_harm() -> None:
    """Longer than the election allows, and at the same moments: whoever comes second reads again."""

    async def scenario(world: World) -> None:
        follower = world.replicas[1].leader
        assert isinstance(follower, Decreed)
        follower.turn(True)
        for _ in range(18):
            await asyncio.sleep(1200)
            await world.is_sound()
        assert (await bundle(world.client)).count(b"BEGIN") == 1

    play(scenario, HASTY)


class Interrupting(Line):
    """Somebody else writes between a read and the write that follows from it."""

    interrupt: Callable[[], Awaitable[None]] | None = None

    async def request(self, method: str, path: str, **options: Any) -> Response:
        if method == "PATCH" and self.interrupt is not None:
            interrupt, self.interrupt = self.interrupt, None
            await interrupt()
        return await super().request(method, path, **options)


def test_what_somebody_else_wrote_at_the_same_moment_is_not_undone() -> None:
    foreign = make_authority("corporate", now=EPOCH).certificate

    async def whole() -> None:
        api = await started()
        await install(api.client)
        line = Interrupting(InProcessTransport(api.server, SYSTEM))
        line.interrupt = lambda: set_bundle(api.client, [foreign])
        replica = Replica(api, Decreed(), 0, SHORT, line)
        await replica.start()
        assert line.interrupt is None
        assert in_bundle(foreign, await bundle(api.client))
        await World(api, [replica]).is_sound()
        await replica.stop()

    run(whole())


class Refusing(Line):
    """RBAC forgot the webhook configurations."""

    forbidden = False

    async def request(self, method: str, path: str, **options: Any) -> Response:
        if self.forbidden and method == "PATCH":
            return Response(403, {}, b'{"status":"Failure","reason":"Forbidden","code":403}')
        return await super().request(method, path, **options)


def test_a_bundle_that_may_not_be_written_does_not_keep_the_leaf_from_being_renewed() -> None:
    async def whole() -> None:
        api = await started()
        await install(api.client)
        line = Refusing(InProcessTransport(api.server, SYSTEM))
        replica = Replica(api, Decreed(), 0, SHORT, line)
        await replica.start()
        first = replica.served
        line.forbidden = True
        await set_bundle(api.client, [])
        await asyncio.sleep(5 * 3600)
        assert replica.served != first
        assert await bundle(api.client) == b""
        await replica.stop()

    run(whole())


def test_an_ended_certificate_is_not_begun_with() -> None:
    async def whole() -> None:
        api = await started()
        await install(api.client)
        before = make_authority("before", now=EPOCH - 99 * HOUR, life=9 * HOUR)
        stale = State(authority=before, leaf=leaf_of(before, EPOCH - 99 * HOUR))
        metadata = meta_v1.ObjectMeta(
            name=INSTALLATION.managed_secret, namespace=INSTALLATION.namespace
        )
        await api.client.create(write_state(core_v1.Secret(metadata=metadata), stale))
        leader = Decreed(False)
        replica = Replica(api, leader, 0, SHORT)
        starting = asyncio.create_task(replica.start())
        await asyncio.sleep(60)
        assert not starting.done()
        leader.turn(True)
        await asyncio.sleep(2)
        assert starting.done()
        await World(api, [replica]).is_sound()
        assert replica.certificate.not_after > api.clock.now()
        await replica.stop()

    run(whole())


@pytest.mark.parametrize("seed", [1])
def test_elected_replicas_that_die_and_come_back_rotate_all_the_same(seed: int) -> None:
    """Three replicas with real elections; every now and then one loses the API for a while."""

    async def whole() -> None:
        api = await started()
        await install(api.client)
        dice = Entropy(seed)
        rules = replace(
            SHORT,
            authority_life=2 * HOUR,
            leaf_life=HOUR,
            propagation=timedelta(minutes=10),
            overlap=timedelta(minutes=20),
        )
        replicas, electors = [], []
        for number in range(3):
            line = Line(InProcessTransport(api.server, SYSTEM))
            elector = LeaderElector(
                ApiClient(line), api.clock, Entropy(10 * seed + number),
                namespace=INSTALLATION.namespace, name=INSTALLATION.lease, identity=f"replica-{number}",
            )  # fmt: skip
            electors.append(asyncio.create_task(elector.run()))
            replicas.append(Replica(api, elector, number, rules, line))
        await asyncio.gather(*(replica.start() for replica in replicas))
        world, authorities = World(api, replicas), set()
        for _ in range(18):
            victim = replicas[int(dice.uniform(0, 3))]
            victim.line.down = True
            await asyncio.sleep(dice.uniform(1, 120))
            victim.line.down = False
            await asyncio.sleep(dice.uniform(60, 600))
            await world.is_sound()
            authorities.add(await world.authority())
        assert len(authorities) >= 2
        for task in electors:
            task.cancel()
        await asyncio.gather(*electors, return_exceptions=True)
        for replica in replicas:
            await replica.stop()

    run(whole())
