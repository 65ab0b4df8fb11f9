"""The API server: an ASGI application over a store.

It owns no socket and no task of its own: `serving.py` puts it on the network, the in-process transport asks it
without ASGI's envelope (`call`), and the composition root runs its background loops.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

from podward.admission.chain import AdmissionChain
from podward.api import errors
from podward.api.errors import ApiStatusError, status_error
from podward.api.scheme import SCHEME, Scheme
from podward.apiserver.attributes import attributes_of
from podward.apiserver.authentication import bearer_token
from podward.apiserver.authorization import MASTERS
from podward.apiserver.authorizer import Authorizer, EscalationCheck
from podward.apiserver.bootstrap import bootstrap, bootstrap_policy, bootstrap_service
from podward.apiserver.event_ttl import run_event_ttl
from podward.apiserver.handlers import connect, tokens
from podward.apiserver.handlers.create import bind, create
from podward.apiserver.handlers.delete import delete, delete_collection
from podward.apiserver.handlers.get import get
from podward.apiserver.handlers.list import list_collection
from podward.apiserver.handlers.logs import logs
from podward.apiserver.handlers.patch import patch
from podward.apiserver.handlers.reviews import Reviewer
from podward.apiserver.handlers.update import update
from podward.apiserver.handlers.watch import watch
from podward.apiserver.identity import ANONYMOUS, Identity
from podward.apiserver.impersonation import impersonation
from podward.apiserver.metrics import RequestCounter, stored_objects
from podward.apiserver.namespace_lifecycle import NamespaceLifecycle
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, Response, StreamResponse, UpgradeResponse
from podward.apiserver.responses import error_response
from podward.apiserver.router import Target, route
from podward.apiserver.secret_tokens import SecretTokens
from podward.apiserver.service_account_tokens import InvalidToken, SigningKey
from podward.apiserver.service_accounts import ServiceAccounts
from podward.client.node_access import NodeAccess
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.machinery.metrics import Family
from podward.store.base import Store, StoreUnavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = Response | StreamResponse | UpgradeResponse
RouteHandler = Callable[[Request], Awaitable[Answer]]

_BODY_LIMIT: Final = 3 * 1024 * 1024
_HEALTH_CHECKS: Final = ("healthz", "livez", "readyz")
_NOT_FOUND: Final = "the server could not find the requested resource"
_NOT_ALLOWED: Final = "the server does not allow this method on the requested resource"
_log = logging.getLogger(__name__)

_COLLECTION: Final = {"POST": create, "DELETE": delete_collection}
_OBJECT: Final = {"GET": get, "PUT": update, "PATCH": patch, "DELETE": delete}
_SUBRESOURCES: Final = {
    "status": {"GET": get, "PUT": update, "PATCH": patch},
    "finalize": {"PUT": update},
    "ephemeralcontainers": {"GET": get, "PUT": update, "PATCH": patch},
    "binding": {"POST": bind},
}


class ApiServer:
    """`extra_routes`: answers of paths that are not resources; a key may have `{segments}` and end in `/...`.

    `authenticate` says who makes a request that came from outside, or raises an `ApiStatusError` (401): then
    it may still be a service account, if there is a `signing_key`.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        *,
        admission: AdmissionChain,
        node_access: NodeAccess | None,
        authenticate: Callable[[Scope], Identity],
        scheme: Scheme = SCHEME,
        extra_routes: Mapping[str, RouteHandler] | None = None,
        signing_key: SigningKey | None = None,
        root_ca: str = "",
        service_address: str = "",
    ) -> None:
        """`signing_key`: of service accounts' tokens. `root_ca`: how clients know this server; empty where none
        comes from outside: there every namespace goes without it, and there are no roles to begin with.
        `service_address`: where every Pod finds it, if it is the same for all."""
        admission = admission.followed_by(EscalationCheck())
        self.registry = Registry(store, clock, entropy, scheme, admission)
        self._root_ca = root_ca
        self._service_address = service_address
        self._authorizer = Authorizer(self.registry.objects)
        self._accounts: ServiceAccounts | None = None
        own_routes: Mapping[str, RouteHandler] = {}
        if signing_key is not None:
            self._accounts = ServiceAccounts(self.registry, signing_key, clock, entropy)
            own_routes = tokens.discovery(signing_key)
        self.node_access = node_access
        self._requests = RequestCounter()
        self._scheme = scheme
        self._authenticate = authenticate
        self._extra_routes = {**(extra_routes or {}), **own_routes}
        self._reviewer = Reviewer(self._authorizer, self._accounts, self._known)
        self._templates: dict[str, list[tuple[str, RouteHandler]]] = {}
        for template, handler in self._extra_routes.items():
            self._templates.setdefault(template.split("/")[1], []).append((template, handler))
        self._streams: set[asyncio.Future[None]] = set()

    async def bootstrap(self) -> None:
        """Create what every cluster begins with; what is there already stays."""
        await bootstrap(self.registry, self._root_ca)
        await bootstrap_service(self.registry, self._service_address)
        if self._root_ca:
            await bootstrap_policy(self.registry)

    async def run_event_ttl(self) -> None:
        await run_event_ttl(self.registry)

    async def run_namespace_lifecycle(self) -> None:
        await NamespaceLifecycle(self.registry, self._root_ca).run()

    async def run_secret_tokens(self) -> None:
        """Returns at once where service accounts have no tokens."""
        if self._accounts is not None and self._root_ca:
            await SecretTokens(self.registry, self._accounts, self._root_ca).run()

    async def families(self) -> list[Family]:
        """What this server counts."""
        return [self._requests.read(), await stored_objects(self.registry)]

    async def close(self) -> None:
        """End every watch, log that is being followed, and connection into a Pod. Requests that come later
        are still answered."""
        streams = list(self._streams)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()  # websocket.connect
            answer = await self._answer(scope, _no_body)
            if isinstance(answer, UpgradeResponse):
                await self._run_upgraded(answer, receive, send)
            else:
                await _refuse(scope, send, answer)
        else:
            answer = await self._answer(scope, receive)
            if isinstance(answer, StreamResponse):
                await self._send_stream(answer, receive, send)
            elif isinstance(answer, UpgradeResponse):
                await self._run_upgraded(answer, receive, send)
            else:
                await _send(answer, send, with_body=scope["method"] != "HEAD")

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        identity: Any,
    ) -> Answer:
        """The answer to trusted code of this process; `headers` with lower-case names."""
        lists = {name: [value] for name, value in query.items()}
        request = Request(method, path, query, lists, headers, identity, body)
        target = route(path, self._scheme)
        answer: Answer
        try:
            answer = await self._dispatch(request, target)
        except Exception as error:
            answer = _refusal(error, method, path)
        return self._counted(answer, method, target, watch=query.get("watch") == "true")

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        """The answer of any request, counted; nothing that goes wrong gets past here."""
        target = route(scope["path"], self._scheme)
        method = scope.get("method", "GET")  # a WebSocket has none of its own
        answer: Answer
        try:
            body = await _read_body(receive)
            identity = await self._identify(scope)
            answer = await self._dispatch(self._request(scope, body, identity), target)
        except Exception as error:
            answer = _refusal(error, method, scope["path"])
        watch = b"watch=true" in scope.get("query_string", b"")
        return self._counted(answer, method, target, watch=watch)

    def _counted(
        self, answer: Answer, method: str, target: Target | None, *, watch: bool
    ) -> Answer:
        watch = watch or isinstance(answer, StreamResponse)
        verb = "CONNECT" if _into_a_pod(target) else method
        self._requests.count(verb, target, watch, answer.status)
        return answer

    async def _identify(self, scope: Scope) -> Identity:
        """Who makes the request: who came, or whom he may act as."""
        if _health_check(scope["path"]):
            return ANONYMOUS
        identity = await self._who_came(scope)
        wished = impersonation(scope["headers"])
        if wished is None:
            return identity
        for right in wished.rights:
            await self._authorizer.require(identity, right)
        return wished.identity

    async def _who_came(self, scope: Scope) -> Identity:
        try:
            return self._authenticate(scope)
        except ApiStatusError:
            token = bearer_token(scope)
            if self._accounts is None or not token:
                raise
        try:
            identity, _ = await self._accounts.identify(token.decode("latin-1"))
        except InvalidToken:
            raise errors.unauthorized() from None
        return identity

    def _known(self, token: str) -> Identity | None:
        """Whose bearer token it is, of those that no service account has."""
        try:
            return self._authenticate({"headers": [(b"authorization", f"Bearer {token}".encode())]})
        except ApiStatusError:
            return None

    def _request(self, scope: Scope, body: bytes, identity: Identity) -> Request:
        query_text = scope.get("query_string", b"").decode("latin-1")
        query_list = parse_qs(query_text, keep_blank_values=True) if query_text else {}
        return Request(
            method=scope.get("method", "GET"),
            path=scope["path"],
            query={name: values[0] for name, values in query_list.items()},
            query_list=query_list,
            headers={k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]},
            identity=identity,
            body=body,
            scope=scope,
        )

    async def _dispatch(self, request: Request, target: Target | None) -> Answer:
        check = _health_check(request.path)
        if check:
            return _health(check, request)
        if MASTERS not in request.identity.groups:
            asked = attributes_of(request.method, request.path, request.query)
            await self._authorizer.require(request.identity, asked)
        extra = self._extra(request.path)
        if extra is not None:
            if request.method not in ("GET", "HEAD"):
                raise status_error(405, "MethodNotAllowed", _NOT_ALLOWED)
            return await extra(request)
        upgrade = request.scope.get("type") == "websocket"
        if target is None or (upgrade and not (_into_a_pod(target) or target.subresource == "log")):
            raise status_error(404, "NotFound", _NOT_FOUND)
        return await self._resource(target, request)

    def _extra(self, path: str) -> RouteHandler | None:
        path = "/" + path.strip("/")
        exact = self._extra_routes.get(path)
        if exact is not None:
            return exact
        for template, handler in self._templates.get(path.split("/", 2)[1], ()):
            if _fits(path, template):
                return handler
        return None

    async def _resource(self, target: Target, request: Request) -> Answer:
        method = "GET" if request.method == "HEAD" else request.method
        if not target.resource.stored:
            if method != "POST" or target.name:
                raise status_error(405, "MethodNotAllowed", _NOT_ALLOWED)
            return await self._reviewer.answer(target, request)
        if target.subresource == "token":
            if method != "POST":
                raise status_error(405, "MethodNotAllowed", _NOT_ALLOWED)
            if self._accounts is None:
                raise status_error(404, "NotFound", _NOT_FOUND)
            return await tokens.create_token(self._accounts, target, request)
        if _into_a_pod(target):
            if request.method not in ("GET", "POST"):
                raise status_error(405, "MethodNotAllowed", _NOT_ALLOWED)
            return await connect.connect(self.registry, self.node_access, target, request)
        if target.subresource == "log":
            if method != "GET":
                raise status_error(405, "MethodNotAllowed", _NOT_ALLOWED)
            return await logs(self.registry, self.node_access, target, request)
        if method == "GET" and not target.subresource:
            if target.watch or request.flag("watch"):
                return await watch(self.registry, target, request)
            if not target.name:
                return await list_collection(self.registry, target, request)
        handlers: Mapping[str, Any] = _COLLECTION
        if target.subresource:
            handlers = _SUBRESOURCES.get(target.subresource, {})
        elif target.name:
            handlers = _OBJECT
        if method == "OPTIONS":
            return Response(204, headers={"allow": ", ".join(["GET", "HEAD", *handlers])})
        across = target.resource.namespaced and not target.namespace
        if method not in handlers or (across and method != "GET"):
            raise status_error(405, "MethodNotAllowed", _NOT_ALLOWED)
        answer: Answer = await handlers[method](self.registry, target, request)
        return answer

    async def _run_upgraded(self, answer: UpgradeResponse, receive: Receive, send: Send) -> None:
        """Until it is over, or the server closes."""
        running = asyncio.ensure_future(answer.run(receive, send))
        self._streams.add(running)
        try:
            await asyncio.wait({running})
        finally:
            self._streams.discard(running)
            running.cancel()
            (ended,) = await asyncio.gather(running, return_exceptions=True)
        if isinstance(ended, Exception):
            _log.error("a connection into a Pod broke off", exc_info=ended)

    async def _send_stream(self, answer: StreamResponse, receive: Receive, send: Send) -> None:
        """Send chunks until they end, the client goes away, or the server closes."""
        await send(_start(answer, None))
        pump = asyncio.create_task(_pump(answer, send))
        gone = asyncio.create_task(_disconnected(receive))
        self._streams.add(pump)
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            left = gone.done() and not pump.done()
        finally:
            self._streams.discard(pump)
            pump.cancel()
            gone.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)
            close = getattr(answer.chunks, "aclose", None)
            if close is not None:
                await close()
        if not left:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refusal(error: Exception, method: str, path: str) -> Response:
    """What the client is told of anything that went wrong."""
    match error:
        case ApiStatusError():
            return error_response(error)
        case RecursionError():
            return error_response(errors.bad_request("the document is nested too deeply"))
        case StoreUnavailable():
            return error_response(status_error(503, "ServiceUnavailable", f"cannot store: {error}"))
    _log.error("cannot answer %s %s", method, path, exc_info=error)
    return error_response(
        status_error(500, "InternalError", "Internal error occurred: see the server's log")
    )


async def _pump(answer: StreamResponse, send: Send) -> None:
    try:
        async for chunk in answer.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Exception:
        # The status line is out already: ending the body is all that is left to say.
        _log.exception("a stream ended early")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _no_body() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _into_a_pod(target: Target | None) -> bool:
    return target is not None and target.subresource in connect.SUBRESOURCES


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.bad_request("the client went away in the middle of its request")
        part = message.get("body", b"")
        size += len(part)
        if size > _BODY_LIMIT:
            raise status_error(
                413, "RequestEntityTooLarge", f"Request entity too large: limit is {_BODY_LIMIT}"
            )
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _refuse(scope: Scope, send: Send, answer: Response | StreamResponse) -> None:
    """What a WebSocket's client gets instead of the upgrade."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = answer.body if isinstance(answer, Response) else b""
    await send({**_start(answer, len(body)), "type": "websocket.http.response.start"})
    await send({"type": "websocket.http.response.body", "body": body})


def _start(answer: Response | StreamResponse, length: int | None) -> MutableMapping[str, Any]:
    headers = [(b"content-type", answer.content_type.encode("latin-1"))]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    own = "cache-control" in answer.headers
    if answer.content_type.startswith("application/") and not own:
        headers.append((b"cache-control", b"no-cache, private"))
    headers += [(k.encode("latin-1"), v.encode("latin-1")) for k, v in answer.headers.items()]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


async def _send(answer: Response, send: Send, *, with_body: bool) -> None:
    bodiless = answer.status in (204, 304)
    await send(_start(answer, None if bodiless else len(answer.body)))
    body = answer.body if with_body and not bodiless else b""
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _health_check(path: str) -> str:
    """The check that `path` asks for (`/readyz`, `/readyz/ping`); empty if it is another path."""
    check, _, part = path.removeprefix("/").partition("/")
    return check if check in _HEALTH_CHECKS and "/" not in part else ""


def _health(check: str, request: Request) -> Response:
    """One check is all there is: a server that answers is well."""
    text = "ok"
    if "verbose" in request.query:
        text = f"[+]ping ok\n{check} check passed\n"
    return Response(200, text.encode(), "text/plain; charset=utf-8")


def _fits(path: str, template: str) -> bool:
    """Whether `path` is one that `template` stands for."""
    parts, wanted = path.split("/"), template.split("/")
    if wanted[-1] == "...":
        wanted = wanted[:-1]
        parts = parts[: len(wanted)] if len(parts) > len(wanted) else []
    return len(parts) == len(wanted) and all(
        w == p or (w.startswith("{") and w.endswith("}") and bool(p))
        for w, p in zip(wanted, parts, strict=True)
    )
