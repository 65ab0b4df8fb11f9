"""How a webhook is asked: one POST over HTTPS, never repeated, and what a failure says.

The texts after `failed calling webhook "x": ` are a real API server's where it has words of its own; those of
the network are plain English and not Go's.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from podward.admission.plugins.admission_webhooks.model import Webhook
from podward.admission.plugins.admission_webhooks.review import AnswerError, Verdict, read_answer
from podward.machinery.gotext import quote
from podward.machinery.http_client import (
    IDEMPOTENCY_HEADER,
    HttpAnswer,
    HttpClient,
    HttpFailure,
    HttpTimeout,
)

_BODY_SHOWN: Final = 2048
_STATUS_TEXTS: Final[Mapping[int, str]] = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    410: "the requested resource is no longer available",
    413: "the request is too large",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing "
    "the request",
}


class CallFailed(Exception):
    """There is no verdict: failurePolicy decides. The text is a whole clause."""

    def __init__(self, webhook: str, reason: str) -> None:
        super().__init__(f"failed calling webhook {quote(webhook)}: {reason}")


async def ask(
    client: HttpClient, webhook: Webhook, question: bytes, uid: str, *, mutating: bool
) -> Verdict:
    """Raises `CallFailed`."""
    url = f"{webhook.url}?timeout={webhook.timeout}s"
    try:
        if webhook.unreachable:
            raise HttpFailure(webhook.unreachable)
        answer = await client.request(
            "POST",
            url,
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json, */*",
                # A connection that its server closes under the question is another matter than an answer.
                IDEMPOTENCY_HEADER: uid,
            },
            body=question,
            timeout=webhook.timeout,
            tls=webhook.tls,
        )
        return read_answer(_body(answer), uid, webhook.name, mutating=mutating)
    except HttpTimeout:
        why = f'failed to call webhook: Post "{url}": context deadline exceeded'
        raise CallFailed(webhook.name, why) from None
    except HttpFailure as failure:
        why = f'failed to call webhook: Post "{url}": {failure}'
        raise CallFailed(webhook.name, why) from None
    except AnswerError as error:
        raise CallFailed(webhook.name, str(error)) from None


def _body(answer: HttpAnswer) -> bytes:
    if not 200 <= answer.status <= 206:
        raise AnswerError(f"failed to call webhook: {_status_text(answer)}")
    if not answer.body:
        kind = answer.headers.get("content-type", "")
        raise AnswerError(
            f"failed to call webhook: 0-length response with status code: {answer.status} and content "
            f"type: {kind}"
        )
    return answer.body


def _status_text(answer: HttpAnswer) -> str:
    """A Status in the body speaks for itself; else there are words for each code."""
    told = _told(answer.body)
    if told:
        return told
    if answer.status in _STATUS_TEXTS:
        return _STATUS_TEXTS[answer.status]
    text = "unknown"
    if answer.headers.get("content-type", "").startswith("text/"):
        text = answer.body[:_BODY_SHOWN].decode(errors="replace").strip()
    if answer.status in (403, 406, 415):
        return text
    if answer.status >= 500:
        return f"an error on the server ({quote(text)}) has prevented the request from succeeding"
    return f"the server responded with the status code {answer.status} but did not return more information"


def _told(body: bytes) -> str:
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    if not isinstance(document, dict) or document.get("kind") != "Status":
        return ""
    message = document.get("message")
    return message if isinstance(message, str) else ""
