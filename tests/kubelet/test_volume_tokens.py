"""Tokens of service accounts: asked for once, renewed in time, used on while nobody answers."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import authentication_v1, core_v1, meta_v1
from tests.kubelet.support import states
from tests.kubelet.test_files_follow_their_source import Stage, play, with_files

from podward.client.api_client import ApiClient
from podward.client.base import ApiError, Response, TransportError
from podward.kubelet.volume_plan import SourceUnreachable, TokenWish, VolumeError
from podward.kubelet.volume_tokens import (
    JITTER_SECONDS,
    LONGEST_SECONDS,
    RETRY_SECONDS,
    ApiTokens,
    Token,
    Tokens,
    renewal,
)
from podward.machinery.clock import Clock, LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.simulate.world import World

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
WISH = TokenWish("", 3600)


def pod(*wishes: TokenWish, account: str | None = None) -> core_v1.Pod:
    sources = [
        {"serviceAccountToken": {"path": f"t{i}", "audience": w.audience, "expirationSeconds": w.seconds}}
        for i, w in enumerate(wishes)
    ]  # fmt: skip
    volume = msgspec.convert({"name": "t", "projected": {"sources": sources}}, core_v1.Volume)
    spec = core_v1.PodSpec(containers=[], volumes=[volume], serviceAccountName=account)
    return core_v1.Pod(metadata=meta_v1.ObjectMeta(name="p", namespace="ns", uid="u-1"), spec=spec)


class Bank:
    """A source of numbered tokens that may be away, or say no."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.given: list[TokenWish] = []
        self.failure: Exception | None = None

    async def token(self, pod: core_v1.Pod, wish: TokenWish) -> Token:
        if self.failure is not None:
            raise self.failure
        self.given.append(wish)
        expires = self.clock.now() + timedelta(seconds=wish.seconds)
        return Token(f"token {len(self.given)}", expires)


Script = Callable[[Bank, Tokens], Coroutine[Any, Any, None]]


def played(script: Script) -> None:
    async def main() -> None:
        clock = LoopClock(EPOCH)
        bank = Bank(clock)
        await script(bank, Tokens(bank, clock, Entropy(1)))

    run(main())


def refused(text: str) -> ApiError:
    return ApiError(meta_v1.Status(code=404, message=text))


def test_one_is_asked_for_once_and_renewed_after_four_fifths_of_its_life() -> None:
    async def script(bank: Bank, tokens: Tokens) -> None:
        whole = pod(WISH)
        assert tokens.due_in("u-1") is None
        assert await tokens.of(whole) == {WISH: "token 1"}
        due = tokens.due_in("u-1")
        assert due is not None
        assert 0.8 * 3600 - JITTER_SECONDS <= due <= 0.8 * 3600
        await asyncio.sleep(due - 1)
        assert await tokens.of(whole) == {WISH: "token 1"}
        await asyncio.sleep(1)
        assert tokens.due_in("u-1") == 0
        assert await tokens.of(whole) == {WISH: "token 2"}
        assert (tokens.due_in("u-1") or 0) > 2000

    played(script)


def test_each_audience_has_its_own_and_so_has_each_pod() -> None:
    async def script(bank: Bank, tokens: Tokens) -> None:
        vault = TokenWish("vault", 600)
        assert await tokens.of(pod(WISH, vault, WISH)) == {WISH: "token 1", vault: "token 2"}
        due = tokens.due_in("u-1")
        assert due is not None
        assert due <= 480  # the first that is due
        other = pod(WISH)
        assert other.metadata is not None
        other.metadata.uid = "u-2"
        assert await tokens.of(other) == {WISH: "token 3"}
        tokens.forget("u-1")
        assert tokens.due_in("u-1") is None
        assert await tokens.of(pod(WISH)) == {WISH: "token 4"}

    played(script)


@pytest.mark.parametrize("failure", [refused("no"), TransportError("away")], ids=["no", "away"])
def test_while_it_cannot_be_renewed_the_old_one_is_used_and_nobody_is_asked_all_the_time(
    failure: Exception,
) -> None:
    async def script(bank: Bank, tokens: Tokens) -> None:
        whole = pod(WISH)
        await tokens.of(whole)
        bank.failure = failure
        await asyncio.sleep(0.9 * 3600)
        assert await tokens.of(whole) == {WISH: "token 1"}
        due = tokens.due_in("u-1")
        assert due is not None
        assert RETRY_SECONDS <= due <= 1.5 * RETRY_SECONDS
        await asyncio.sleep(359)
        assert await tokens.of(whole) == {WISH: "token 1"}
        assert (tokens.due_in("u-1") or 2) <= 1  # not after its end
        await asyncio.sleep(2)
        (found,) = (await tokens.of(whole)).values()
        assert isinstance(found, VolumeError)
        bank.failure = None
        assert await tokens.of(whole) == {WISH: "token 2"}

    played(script)


def test_why_there_is_none() -> None:
    async def script(bank: Bank, tokens: Tokens) -> None:
        bank.failure = refused('serviceaccounts "x" not found')
        (found,) = (await tokens.of(pod(WISH))).values()
        assert str(found) == 'failed to fetch token: serviceaccounts "x" not found'
        assert not isinstance(found, SourceUnreachable)
        bank.failure = TransportError("away")
        (found,) = (await tokens.of(pod(WISH))).values()
        assert isinstance(found, SourceUnreachable)
        assert tokens.due_in("u-1") is None

    played(script)


@given(st.integers(600, 1 << 32), st.floats(0, JITTER_SECONDS))
def test_a_token_is_renewed_while_it_holds_and_within_a_day(seconds: int, jitter: float) -> None:
    expires = EPOCH + timedelta(seconds=seconds)
    at = (renewal(expires, seconds, jitter) - EPOCH).total_seconds()
    assert 0.8 * 600 - JITTER_SECONDS <= at < seconds
    assert at <= LONGEST_SECONDS
    assert at >= min(0.8 * seconds, LONGEST_SECONDS) - JITTER_SECONDS - 1e-3


def test_a_running_container_reads_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    async def create_token(
        self: ApiClient, account: str, namespace: str, spec: authentication_v1.TokenRequestSpec
    ) -> authentication_v1.TokenRequestStatus:
        now = asyncio.get_running_loop().time()
        given.append(now)
        expires = clocks[0].now() + timedelta(seconds=600)
        return authentication_v1.TokenRequestStatus(
            token=f"token {len(given)}", expirationTimestamp=expires
        )

    clocks: list[Clock] = []
    monkeypatch.setattr(ApiClient, "create_token", create_token)

    async def script(stage: Stage) -> None:
        assert await stage.run("cat /v/token") == "token 1"
        await asyncio.sleep(460)
        assert await stage.run("cat /v/token") == "token 1"
        await asyncio.sleep(25)
        assert await stage.run("cat /v/token") == "token 2"
        await asyncio.sleep(3000)

    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}
    manifest = with_files({"name": "v", "projected": {"sources": [source]}})
    monkeypatch.setattr(World, "__init__", _remembering(clocks))
    recording = play([manifest], script, seconds=3600)
    assert states(recording, "a")[-1][1:] == ("running", 0)
    assert len(given) == 8  # each 470 to 480 seconds, and nobody is asked in between
    assert {round(b - a) // 10 for a, b in pairwise(given)} <= {47, 48}


def _remembering(clocks: list[Clock]) -> Any:
    begin = World.__init__

    def wrapped(self: World, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        clocks.append(self.clock)

    return wrapped


class Wire:
    """A transport that answers token requests, and remembers them."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.status = status
        self.asked: list[tuple[str, str, Any]] = []

    async def request(self, method: str, path: str, *, body: bytes = b"", **_: Any) -> Response:
        self.asked.append((method, path, msgspec.json.decode(body)))
        answer = {"kind": "TokenRequest", "spec": {"audiences": ["x"]}, "status": self.status}
        return Response(201, {}, msgspec.json.encode(answer))

    async def stream(self, path: str, **_: Any) -> Any:
        raise NotImplementedError
        yield b""


@pytest.mark.parametrize(
    ("account", "wish", "audiences"),
    [("me", WISH, []), (None, TokenWish("vault", 700), ["vault"])],
    ids=["for the API server", "for another"],
)
def test_the_api_server_is_asked_for_one_that_is_bound_to_the_pod(
    account: str | None, wish: TokenWish, audiences: list[str]
) -> None:
    async def main() -> None:
        wire = Wire({"token": "abc", "expirationTimestamp": "2026-01-01T01:00:00Z"})
        made = await ApiTokens(ApiClient(wire)).token(pod(wish, account=account), wish)
        assert made == Token("abc", EPOCH + timedelta(hours=1))
        ((method, path, sent),) = wire.asked
        name = account or "default"
        assert (method, path) == ("POST", f"/api/v1/namespaces/ns/serviceaccounts/{name}/token")
        spec = msgspec.convert(sent["spec"], authentication_v1.TokenRequestSpec)
        assert (spec.audiences, spec.expirationSeconds) == (audiences, wish.seconds)
        assert spec.boundObjectRef == authentication_v1.BoundObjectReference(
            apiVersion="v1", kind="Pod", name="p", uid="u-1"
        )

    run(main())


def test_an_answer_without_a_token_is_none() -> None:
    async def main() -> None:
        with pytest.raises(TransportError):
            await ApiTokens(ApiClient(Wire({"token": ""}))).token(pod(WISH), WISH)

    run(main())
