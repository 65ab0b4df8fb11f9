"""Asking the cluster whether somebody may do something: SubjectAccessReview."""

from typing import Protocol

from lightkube.models import authorization_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.webhook.validation import AccessQuestion


class AccessReviewer(Protocol):
    async def refusal(self, question: AccessQuestion) -> str:
        """Why not; empty if they may."""


class NoAccessReview:
    """Whoever may write a preset may write every preset."""

    async def refusal(self, question: AccessQuestion) -> str:
        return ""


class SubjectAccessReviewer:
    """A server without that API has no rules that could forbid it. Whatever else goes wrong forbids: a right
    that cannot be looked up is none."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def refusal(self, question: AccessQuestion) -> str:
        try:
            answer = await self._client.create(_review(question))
        except ApiError as error:
            if error.code == 404:
                return ""
            return f"{question.text}; whether it has that cannot be found out: {error}"
        except TransportError as error:
            return f"{question.text}; whether it has that cannot be found out: {error}"
        if answer.status is not None and answer.status.allowed:
            return ""
        why = (answer.status.reason if answer.status is not None else "") or ""
        return f"{question.text}: {why}" if why else question.text


def _review(question: AccessQuestion) -> authorization_v1.SubjectAccessReview:
    user = question.user
    return authorization_v1.SubjectAccessReview(
        metadata=meta_v1.ObjectMeta(),
        spec=authorization_v1.SubjectAccessReviewSpec(
            user=user.username,
            uid=user.uid or None,
            groups=user.groups or None,
            extra=user.extra or None,
            resourceAttributes=authorization_v1.ResourceAttributes(
                group=question.group,
                version=question.version,
                resource=question.resource,
                verb=question.verb,
                namespace=question.namespace or None,
                name=question.name or None,
            ),
        ),
    )
