"""The webhook's paths: an ASGI application. `program.py` puts it on the network.

Whatever goes wrong in a review that is not the asker's fault is answered with 500, never with `allowed`: then
the webhook's failurePolicy decides, which is the cluster's word and not ours. What is logged of it holds
nothing of the object.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from podward.admission.plugins.pod_preset import merge, parse
from podward.admission.plugins.pod_preset.model import Mode, Notice
from podward.client.base import ApiError, TransportError
from podward.machinery.clock import Clock
from podward.webhook import metrics, review, validation
from podward.webhook.access import AccessReviewer, NoAccessReview
from podward.webhook.metrics import WebhookMetrics
from podward.webhook.naming import MUTATE_PATH, VALIDATE_PATH
from podward.webhook.presets import PresetSource
from podward.webhook.review import Admit, Answer, BadReview, Request
from podward.webhook.validation import Read

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Outcome = review.Outcome | Literal["bad", "large", "error"]

BODY_LIMIT: Final = 3 * 1024 * 1024
"""What an API server takes of an object; a review of one may be a little more, but one that large is none."""
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"

log = logging.getLogger(__name__)


class _Refused(Exception):
    def __init__(self, status: int, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    media: str = _TEXT
    allow: str = ""


class WebhookApp:
    """`tell` hears of every review in which presets had a part; it must not wait and not raise."""

    def __init__(
        self,
        presets: PresetSource,
        clock: Clock,
        counted: WebhookMetrics,
        *,
        mode: Mode = "safe",
        access: AccessReviewer | None = None,
        tell: Callable[[Notice], None] = lambda notice: None,
        admit: Admit = merge.admit,
        read: Read = parse.preset_of,
    ) -> None:
        self._presets = presets
        self._clock = clock
        self._metrics = counted
        self._mode: Mode = mode
        self._access = access or NoAccessReview()
        self._tell = tell
        self._admit = admit
        self._read = read
        self._reviews = {MUTATE_PATH: self._mutate, VALIDATE_PATH: self._validate}
        self._draining = False

    @property
    def ready(self) -> bool:
        return self._presets.synced and not self._draining

    def drain(self) -> None:
        """Not ready any more, and every answer asks its client to come on another connection the next time."""
        self._draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        reply = (
            await self._reviewed(path, scope, receive)
            if path in self._reviews and method == "POST"
            else self._told(path, method)
        )
        await self._send(reply, method, send)

    # ---- reviews

    async def _reviewed(self, path: str, scope: Scope, receive: Receive) -> _Reply:
        outcome: Outcome = "error"
        began = self._clock.monotonic()
        request: Request | None = None
        try:
            body = await _body(scope, receive)
            began = self._clock.monotonic()
            request = review.read(body)
            answer = await self._reviews[path](request)
            outcome = answer.outcome
            return _Reply(200, answer.body, _JSON)
        except _Refused as error:
            outcome = error.outcome
            return _Reply(error.status, f"{error}\n".encode())
        except BadReview as error:
            outcome = "bad"
            return _Reply(400, f"{error}\n".encode())
        except (ApiError, TransportError) as error:
            log.warning("cannot review a request: the API server cannot be asked: %s", error)
            return _Reply(500, b"the API server cannot be asked for presets\n")
        except Exception as error:
            log.error("cannot review a request for %s: %s", _about(request), place_of(error))
            return _Reply(500, b"the review failed: see the webhook's log\n")
        finally:
            self._metrics.called(path, outcome, self._clock.monotonic() - began)

    async def _mutate(self, request: Request) -> Answer:
        if not review.creates_a_pod(request):
            return review.let_through(request)
        view = await self._presets.view(request.namespace or "")
        answer = review.mutate(request, view, self._mode, admit=self._admit)
        if answer.notice is not None:
            self._tell(answer.notice)
        return answer

    async def _validate(self, request: Request) -> Answer:
        judgement = validation.validate(request, self._mode, read=self._read)
        if judgement.access is not None:
            refusal = await self._access.refusal(judgement.access)
            if refusal:
                return review.denied(request, 403, "Forbidden", refusal)
        return judgement.answer

    # ---- everything else

    def _told(self, path: str, method: str) -> _Reply:
        if path in self._reviews:
            return _Reply(405, b"POST an AdmissionReview\n", allow="POST")
        if path not in ("/readyz", "/livez", "/healthz", "/metrics"):
            return _Reply(404, b"not found\n")
        if method not in ("GET", "HEAD"):
            return _Reply(405, b"GET it\n", allow="GET, HEAD")
        if path == "/metrics":
            return _Reply(200, self._metrics.exposition(), metrics.CONTENT_TYPE)
        if path == "/readyz" and not self.ready:
            why = b"draining\n" if self._draining else b"presets are not known yet\n"
            return _Reply(503, why)
        return _Reply(200, b"ok\n")

    async def _send(self, reply: _Reply, method: str, send: Send) -> None:
        headers = [
            (b"content-type", reply.media.encode()),
            (b"content-length", str(len(reply.body)).encode()),
        ]
        if reply.allow:
            headers.append((b"allow", reply.allow.encode()))
        if self._draining or reply.status == 413:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = b"" if method == "HEAD" else reply.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def _body(scope: Scope, receive: Receive) -> bytes:
    headers = dict(scope["headers"])
    media = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if media != _JSON:
        raise _Refused(415, "bad", f"send {_JSON}")
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > BODY_LIMIT:
        raise _Refused(413, "large", f"the limit is {BODY_LIMIT} bytes")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refused(400, "bad", "the client went away in the middle of its request")
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_LIMIT:
            raise _Refused(413, "large", f"the limit is {BODY_LIMIT} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _about(request: Request | None) -> str:
    if request is None:
        return "something that could not be read"
    resource = ".".join(
        part for part in (request.resource.resource, request.resource.group) if part
    )
    return f"{request.operation} {resource} in namespace {request.namespace or ''}"


def place_of(error: BaseException) -> str:
    """What failed and where, without the error's text: that may quote a value."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    return f"{type(error).__name__} at {' < '.join(reversed(places))}"
