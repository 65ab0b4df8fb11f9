"""Questions about rights and identities: POSTed, answered in their own status, and never kept."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from lightkube.models import authentication_v1, authorization_v1, meta_v1, rbac_v1

from podward.api import codec, errors
from podward.apiserver.attributes import Attributes
from podward.apiserver.authorization import compact
from podward.apiserver.authorizer import Authorizer
from podward.apiserver.handlers.options import field_validation
from podward.apiserver.identity import Identity
from podward.apiserver.request import Request, Response
from podward.apiserver.responses import json_or_yaml, negotiate
from podward.apiserver.router import Target
from podward.apiserver.service_account_tokens import ISSUER, InvalidToken
from podward.apiserver.service_accounts import ServiceAccounts

_ALL: Final = "*"


class Reviewer:
    """`identify`: whom a bearer token names; `InvalidToken` for nobody."""

    def __init__(
        self,
        authorizer: Authorizer,
        accounts: ServiceAccounts | None,
        known: Callable[[str], Identity | None],
    ) -> None:
        """`known`: of bearer tokens that are no service account's."""
        self._authorizer = authorizer
        self._accounts = accounts
        self._known = known
        self._answers: dict[type[Any], Callable[[Any, Target, Identity], Awaitable[Any]]] = {
            authorization_v1.SelfSubjectAccessReview: self._self_access,
            authorization_v1.SubjectAccessReview: self._access,
            authorization_v1.LocalSubjectAccessReview: self._local_access,
            authorization_v1.SelfSubjectRulesReview: self._rules,
            authentication_v1.SelfSubjectReview: self._self,
            authentication_v1.TokenReview: self._token,
        }

    async def answer(self, target: Target, request: Request) -> Response:
        wanted = negotiate(request)
        review, _ = codec.decode(
            request.body,
            request.headers.get("content-type", ""),
            target.resource,
            field_validation(request),
        )
        status = await self._answers[type(review)](review, target, request.identity)
        metadata = review.metadata or meta_v1.ObjectMeta()
        answered = msgspec.structs.replace(review, metadata=metadata, status=status)
        return json_or_yaml(codec.encode(answered), wanted, status=201)

    # ---- what somebody may

    async def _self_access(
        self, review: Any, target: Target, identity: Identity
    ) -> authorization_v1.SubjectAccessReviewStatus:
        return await self._may(identity, _asked(review.spec, target))

    async def _access(
        self, review: Any, target: Target, identity: Identity
    ) -> authorization_v1.SubjectAccessReviewStatus:
        spec = review.spec
        if not spec.user and not spec.groups:
            detail = "at least one of user or group must be specified"
            raise errors.invalid(
                target.resource, "", [errors.field_invalid("spec.user", "", detail)]
            )
        subject = Identity(spec.user or "", tuple(spec.groups or ()))
        return await self._may(subject, _asked(spec, target))

    async def _local_access(
        self, review: Any, target: Target, identity: Identity
    ) -> authorization_v1.SubjectAccessReviewStatus:
        attributes = review.spec.resourceAttributes
        if attributes is not None and attributes.namespace != target.namespace:
            detail = "must match metadata.namespace"
            path = "spec.resourceAttributes.namespace"
            wrong = errors.field_invalid(path, attributes.namespace or "", detail)
            raise errors.invalid(target.resource, "", [wrong])
        if attributes is None:
            wrong = errors.field_invalid(
                "spec.nonResourceAttributes",
                msgspec.to_builtins(review.spec.nonResourceAttributes),
                "disallowed on this kind of request",
            )
            raise errors.invalid(target.resource, "", [wrong])
        return await self._access(review, target, identity)

    async def _may(
        self, subject: Identity, asked: Attributes
    ) -> authorization_v1.SubjectAccessReviewStatus:
        allowed, reason = (await self._authorizer.policy()).authorize(subject, asked)
        return authorization_v1.SubjectAccessReviewStatus(allowed=allowed, reason=reason or None)

    async def _rules(
        self, review: Any, target: Target, identity: Identity
    ) -> authorization_v1.SubjectRulesReviewStatus:
        namespace = review.spec.namespace
        if not namespace:
            raise errors.bad_request("no namespace on request")
        rules = (await self._authorizer.policy()).rules_for(identity, namespace)
        return authorization_v1.SubjectRulesReviewStatus(
            incomplete=False,
            resourceRules=[_resource_rule(r) for r in compact(rules) if not r.nonResourceURLs],
            nonResourceRules=[
                authorization_v1.NonResourceRule(r.verbs, r.nonResourceURLs)
                for r in compact(rules)
                if r.nonResourceURLs
            ],
        )

    # ---- who somebody is

    async def _self(
        self, review: Any, target: Target, identity: Identity
    ) -> authentication_v1.SelfSubjectReviewStatus:
        return authentication_v1.SelfSubjectReviewStatus(userInfo=_user(identity))

    async def _token(
        self, review: Any, target: Target, identity: Identity
    ) -> authentication_v1.TokenReviewStatus:
        token, audiences = review.spec.token or "", review.spec.audiences or [ISSUER]
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        known = self._known(token)
        if known is not None and ISSUER in audiences:
            return authentication_v1.TokenReviewStatus(
                authenticated=True, audiences=[ISSUER], user=_user(known)
            )
        try:
            if self._accounts is None:
                raise InvalidToken("no service account has tokens here")
            who, meant = await self._accounts.identify(token, audiences)
        except InvalidToken as error:
            return authentication_v1.TokenReviewStatus(
                authenticated=False, error=f"[invalid bearer token, {error}]"
            )
        return authentication_v1.TokenReviewStatus(
            authenticated=True, audiences=meant, user=_user(who)
        )


def _asked(spec: Any, target: Target) -> Attributes:
    resource, path = spec.resourceAttributes, spec.nonResourceAttributes
    if (resource is None) == (path is None):
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        wrong = errors.field_invalid("spec.resourceAttributes", None, detail)
        raise errors.invalid(target.resource, "", [wrong])
    if resource is None:
        return Attributes(path.verb or "", path=path.path or "")
    return Attributes(
        verb=resource.verb or "",
        group=resource.group or "",
        resource=resource.resource or "",
        subresource=resource.subresource or "",
        namespace=resource.namespace or "",
        name=resource.name or "",
    )


def _resource_rule(rule: rbac_v1.PolicyRule) -> authorization_v1.ResourceRule:
    return authorization_v1.ResourceRule(
        verbs=rule.verbs,
        apiGroups=rule.apiGroups,
        resources=rule.resources,
        resourceNames=rule.resourceNames,
    )


def _user(identity: Identity) -> authentication_v1.UserInfo:
    return authentication_v1.UserInfo(
        username=identity.name,
        uid=identity.uid or None,
        groups=list(identity.groups),
        extra={key: list(values) for key, values in identity.extra.items()} or None,
    )
