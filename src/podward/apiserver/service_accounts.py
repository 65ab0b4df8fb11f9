"""Tokens of the accounts that are stored: made when asked for, believed only while all that they name exists.

The order of the checks and what they say are Kubernetes'. A token is not believed longer than its account
lives, and a bound one not longer than the object that it is bound to.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from lightkube.models import authentication_v1, core_v1

from podward.api import errors
from podward.api.scheme import Resource
from podward.api.validation.token_request import token_request_errors
from podward.apiserver.identity import Identity
from podward.apiserver.registry import Registry
from podward.apiserver.service_account_tokens import (
    ISSUER,
    LEEWAY,
    Bound,
    Claims,
    InvalidToken,
    Private,
    SigningKey,
    check_claims,
    claims_for,
)
from podward.machinery.clock import Clock, whole_seconds
from podward.machinery.entropy import Entropy

TOKEN_REQUEST: Final = Resource(
    "authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", "tokenrequest",
    authentication_v1.TokenRequest, True,
)  # fmt: skip
_READ_LIMIT: Final = 1024
_EXTRA: Final = "authentication.kubernetes.io/"


class ServiceAccounts:
    def __init__(self, registry: Registry, key: SigningKey, clock: Clock, entropy: Entropy) -> None:
        self._registry = registry
        self._key = key
        self._clock = clock
        self._entropy = entropy
        self._accounts = registry.scheme.of_type(core_v1.ServiceAccount)
        self._read: OrderedDict[str, Claims] = OrderedDict()
        """What tokens say whose signature was found good: it stays so."""

    @property
    def key(self) -> SigningKey:
        return self._key

    # ---- making them

    async def issue(
        self, namespace: str, name: str, request: authentication_v1.TokenRequest
    ) -> authentication_v1.TokenRequest:
        """`request` with its answer. 404, 422, 400 or 409."""
        account = await self._registry.get(self._accounts, namespace, name)
        spec = request.spec or authentication_v1.TokenRequestSpec()
        spec = msgspec.structs.replace(
            spec,
            audiences=spec.audiences or [ISSUER],
            expirationSeconds=3600 if spec.expirationSeconds is None else spec.expirationSeconds,
        )
        wrong = token_request_errors(spec)
        if wrong:
            raise errors.invalid(TOKEN_REQUEST, "", wrong)
        private = Private(namespace, _bound(account))
        if spec.boundObjectRef is not None:
            private = await self._bind(private, spec.boundObjectRef)
        now, seconds = self._clock.now(), spec.expirationSeconds or 0
        claims = claims_for(
            private,
            audiences=spec.audiences or (),
            seconds=seconds,
            token_id=self._entropy.uuid4(),
            now=now,
        )
        metadata = msgspec.structs.replace(
            account.metadata.__class__(),
            name=name,
            namespace=namespace,
            creationTimestamp=whole_seconds(now),
        )
        return authentication_v1.TokenRequest(
            metadata=metadata,
            spec=spec,
            status=authentication_v1.TokenRequestStatus(
                token=self._key.sign(claims),
                expirationTimestamp=whole_seconds(now) + timedelta(seconds=seconds),
            ),
        )

    def lasting(self, namespace: str, account: str, uid: str, secret: str, secret_uid: str) -> str:
        """A token that holds for as long as the Secret that it is kept in."""
        private = Private(namespace, Bound(account, uid), secret=Bound(secret, secret_uid))
        token_id, now = self._entropy.uuid4(), self._clock.now()
        return self._key.sign(
            claims_for(private, audiences=[ISSUER], seconds=None, token_id=token_id, now=now)
        )

    async def _bind(
        self, private: Private, reference: authentication_v1.BoundObjectReference
    ) -> Private:
        group, _, version = (reference.apiVersion or "").rpartition("/")
        kind, name = reference.kind or "", reference.name or ""
        if group or kind not in ("Pod", "Secret", "Node"):
            shown = f"{group}/{version}, Kind={kind}"
            raise errors.bad_request(f"cannot bind token to object of type {shown}")
        if kind == "Pod":
            pod = await self._stored(core_v1.Pod, private.namespace, name)
            account = private.serviceaccount.name
            if pod.spec.serviceAccountName != account:
                raise errors.bad_request(
                    f'cannot bind token for serviceaccount "{account}" to pod running with different '
                    "serviceaccount name."
                )
            private = msgspec.structs.replace(
                private, pod=_bound(pod), node=await self._node_of(pod)
            )
            uid = pod.metadata.uid
        elif kind == "Secret":
            secret = await self._stored(core_v1.Secret, private.namespace, name)
            private = msgspec.structs.replace(private, secret=_bound(secret))
            uid = secret.metadata.uid
        else:
            node = await self._stored(core_v1.Node, "", name)
            private = msgspec.structs.replace(private, node=_bound(node))
            uid = node.metadata.uid
        if reference.uid and reference.uid != uid:
            raise errors.status_error(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {kind} "{name}": the UID in the bound object reference '
                f"({reference.uid}) does not match the UID in record. The object might have been deleted and "
                "then recreated",
            )
        return private

    async def _stored(self, kind: type[Any], namespace: str, name: str) -> Any:
        return await self._registry.get(self._registry.scheme.of_type(kind), namespace, name)

    async def _node_of(self, pod: core_v1.Pod) -> Bound | None:
        name = (pod.spec and pod.spec.nodeName) or ""
        if not name:
            return None
        node = await self._registry.objects.get(core_v1.Node, name)
        return Bound(name) if node is None else _bound(node)

    # ---- believing them

    async def identify(
        self, token: str, audiences: Sequence[str] = (ISSUER,)
    ) -> tuple[Identity, list[str]]:
        """Who comes with it, and for which of the audiences it is good. `InvalidToken`."""
        claims = self._claims(token)
        now = self._clock.now()
        meant = check_claims(claims, audiences=audiences, now=now)
        private = claims.kubernetes
        await self._check_account(private)
        for kind, bound in ((core_v1.Secret, private.secret), (core_v1.Pod, private.pod)):
            if bound is not None:
                await self._check_bound(kind, private.namespace, bound, now)
        if private.node is not None and private.pod is None:
            await self._check_bound(core_v1.Node, "", private.node, now)
        return _identity(claims), meant

    def _claims(self, token: str) -> Claims:
        held = self._read.get(token)
        if held is None:
            held = self._read[token] = self._key.read(token)
            if len(self._read) > _READ_LIMIT:
                self._read.popitem(last=False)
        return held

    async def _check_account(self, private: Private) -> None:
        wanted = private.serviceaccount
        found = await self._registry.objects.get(
            core_v1.ServiceAccount, wanted.name, private.namespace
        )
        if found is None or found.metadata is None:
            raise InvalidToken(f'serviceaccount "{wanted.name}" not found')
        if found.metadata.deletionTimestamp is not None:
            raise InvalidToken("service account token has been invalidated")
        if found.metadata.uid != wanted.uid:
            raise InvalidToken(
                f"service account UID ({found.metadata.uid}) does not match claim ({wanted.uid})"
            )

    async def _check_bound(
        self, kind: type[Any], namespace: str, bound: Bound, now: datetime
    ) -> None:
        found = await self._registry.objects.get(kind, bound.name, namespace)
        if found is None:
            raise InvalidToken("service account token has been invalidated")
        metadata = found.metadata
        if metadata.uid != bound.uid:
            word = kind.__name__.lower()
            raise InvalidToken(f"{word} UID ({metadata.uid}) does not match claim ({bound.uid})")
        leaving = metadata.deletionTimestamp
        if leaving is not None and leaving + LEEWAY < now:
            raise InvalidToken("service account token has been invalidated")


def _bound(obj: Any) -> Bound:
    return Bound(obj.metadata.name or "", obj.metadata.uid or "")


def _identity(claims: Claims) -> Identity:
    private = claims.kubernetes
    extra = {f"{_EXTRA}credential-id": (f"JTI={claims.jti}",)}
    for kind, bound in (("node", private.node), ("pod", private.pod)):
        if bound is not None:
            extra[f"{_EXTRA}{kind}-name"] = (bound.name,)
            if bound.uid:
                extra[f"{_EXTRA}{kind}-uid"] = (bound.uid,)
    return Identity(
        claims.sub,
        (
            "system:serviceaccounts",
            f"system:serviceaccounts:{private.namespace}",
            "system:authenticated",
        ),
        private.serviceaccount.uid,
        extra,
    )
