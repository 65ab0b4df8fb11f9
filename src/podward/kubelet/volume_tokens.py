"""Tokens of service accounts for volumes: asked for once, held while they are young enough, renewed in time.

The rule is the kubelet's: a token is renewed when four fifths of its life or a day are over. While nobody can
be asked, one that still holds is used on.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lightkube.models import authentication_v1, core_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.kubelet.volume_plan import SourceUnreachable, TokenWish, VolumeError, token_wishes
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

LONGEST_SECONDS = 24 * 3600.0
JITTER_SECONDS = 10.0
"""So much earlier, at most: not all Pods of a machine ask at once."""
RETRY_SECONDS = 60.0
"""Times 1 to 1.5: after a renewal that failed, while the old token holds."""


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    expires: datetime


class TokenSource(Protocol):
    async def token(self, pod: core_v1.Pod, wish: TokenWish) -> Token:
        """A new one, bound to the Pod. `ApiError`, `TransportError`."""


class ApiTokens:
    """From the API server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def token(self, pod: core_v1.Pod, wish: TokenWish) -> Token:
        meta = pod.metadata or meta_v1.ObjectMeta()
        account = (pod.spec and pod.spec.serviceAccountName) or "default"
        bound = authentication_v1.BoundObjectReference(
            apiVersion="v1", kind="Pod", name=meta.name, uid=meta.uid
        )
        spec = authentication_v1.TokenRequestSpec(
            audiences=[wish.audience] if wish.audience else [],
            boundObjectRef=bound,
            expirationSeconds=wish.seconds,
        )
        made = await self._client.create_token(account, meta.namespace or "", spec)
        if not made.token or made.expirationTimestamp is None:
            raise TransportError("the answer to a token request has no token")
        return Token(made.token, made.expirationTimestamp)


def renewal(expires: datetime, seconds: int, jitter: float) -> datetime:
    """When a token that lives for `seconds` is renewed. Pure."""
    issued = expires - timedelta(seconds=seconds)
    after = min(0.8 * seconds, LONGEST_SECONDS) - jitter
    return issued + timedelta(seconds=max(after, 0))


@dataclass(slots=True)
class _Held:
    token: Token
    renew_at: datetime


class Tokens:
    """Of all Pods of this machine. They are in memory only: whoever begins anew asks anew."""

    def __init__(self, source: TokenSource, clock: Clock, entropy: Entropy) -> None:
        self._source = source
        self._clock = clock
        self._entropy = entropy
        self._held: dict[str, dict[TokenWish, _Held]] = {}

    async def of(self, pod: core_v1.Pod) -> dict[TokenWish, str | VolumeError]:
        """All that its volumes hold, or why one cannot be had."""
        return {wish: await self._one(pod, wish) for wish in sorted(token_wishes(pod))}

    async def _one(self, pod: core_v1.Pod, wish: TokenWish) -> str | VolumeError:
        uid = (pod.metadata and pod.metadata.uid) or ""
        held = self._held.get(uid, {}).get(wish)
        now = self._clock.now()
        if held is not None and now < held.renew_at:
            return held.token.text
        failure: VolumeError
        try:
            made = await self._source.token(pod, wish)
        except ApiError as error:
            failure = VolumeError(f"failed to fetch token: {error}")
        except TransportError as error:
            failure = SourceUnreachable(f"failed to fetch token: {error}")
        else:
            jitter = self._entropy.uniform(0, JITTER_SECONDS)
            renew_at = renewal(made.expires, wish.seconds, jitter)
            self._held.setdefault(uid, {})[wish] = _Held(made, renew_at)
            return made.text
        if held is None or held.token.expires <= now:
            return failure
        delay = RETRY_SECONDS * self._entropy.uniform(1, 1.5)
        held.renew_at = min(now + timedelta(seconds=delay), held.token.expires)
        return held.token.text

    def due_in(self, uid: str) -> float | None:
        """Seconds until the next renewal, 0 if it is due; None for a Pod without tokens."""
        held = self._held.get(uid)
        if not held:
            return None
        first = min(one.renew_at for one in held.values())
        return max((first - self._clock.now()).total_seconds(), 0.0)

    def forget(self, uid: str) -> None:
        self._held.pop(uid, None)
