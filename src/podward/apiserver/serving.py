"""The HTTPS port: uvicorn with our certificates, inside a loop that is already running.

uvicorn does not hand the client's certificate to the application (a proposal to do so is open), so two small
subclasses of its protocols do. They also are the boundary that keeps a network request from claiming an
in-process identity: the scope's extensions are made here, from what TLS verified and nothing else.

uvicorn knows no upgrade but a WebSocket's either. Who asks for SPDY/3.1 gets a request like any other, with an
extension by which the application can take the connection over (`streaming.duplex.UPGRADE`).
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from podward.apiserver.authentication import PEER
from podward.apiserver.certificates import Credentials
from podward.apiserver.streaming.duplex import UPGRADE
from podward.machinery.network import ByteStream

_CLOSING_SECONDS: Final = 1.0
"""How long a client may take to answer that a connection at rest is closed."""
_EARLY_BYTES: Final = 64 * 1024
"""What a client may send behind a request for an upgrade before it has the answer."""


class HttpsServer:
    """`credentials`: what to serve with, or a context that is made already."""

    def __init__(
        self,
        app: Any,
        *,
        host: str,
        port: int,
        credentials: Credentials | ssl.SSLContext,
        grace_seconds: int = 1,
        keep_alive_seconds: int = 75,
    ) -> None:
        """`grace_seconds`: how long `stop` waits for requests that are under way. `keep_alive_seconds`: how
        long a connection may rest; who rests longer than its client never hangs up on a request."""
        self._app = app
        self._host = host
        self._port = port
        self._context = (
            credentials if isinstance(credentials, ssl.SSLContext) else _context(credentials)
        )
        self._grace_seconds = grace_seconds
        self._keep_alive_seconds = keep_alive_seconds
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """The port that it listens on; `OSError` if it cannot."""
        import uvicorn

        listener = self._bind()
        config = uvicorn.Config(
            self._app,
            http=_http_protocol(),
            ws=_websocket_protocol(),
            loop="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            ws_per_message_deflate=False,
            # A client whose command does not read its input is not read either, so no answer to a ping
            # is seen: exec was cut off after 40 s. The pings stay, for they find out who is gone.
            ws_ping_timeout=None,
            timeout_graceful_shutdown=self._grace_seconds,
            timeout_keep_alive=self._keep_alive_seconds,
        )
        config.load()
        config.ssl = self._context
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._server.capture_signals = contextlib.nullcontext
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise OSError("the server ended before it had begun")
            await asyncio.sleep(0.001)
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Within about `grace_seconds`; sooner, if no request is under way. Who does not hang up is left."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await asyncio.wait((self._task,), timeout=_CLOSING_SECONDS)
        while not self._task.done() and self._server.server_state.tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # nobody tells of it; uvicorn has the timeout
        self._server.force_exit = True
        await asyncio.gather(self._task, return_exceptions=True)

    async def serve(self, listener: socket.socket) -> Callable[[], None]:
        """Answer at one more socket as at the own one, once `start` has returned; what comes back ends it.

        Connections that are open then go on until one of their ends has enough.
        """
        server = self._server

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = server.config.http_protocol_class(
                config=server.config, server_state=server.server_state, app_state={}
            )
            return made

        loop = asyncio.get_running_loop()
        opened = await loop.create_server(protocol, sock=listener, ssl=self._context)
        server.servers.append(opened)  # it is closed with the others

        def close() -> None:
            opened.close()
            if opened in server.servers:
                server.servers.remove(opened)

        return close

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.listen(512)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener


def _context(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(credentials.server_certificate, credentials.server_key)
    context.load_verify_locations(credentials.ca_certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def _extensions(transport: Any) -> dict[str, Any]:
    """What the application learns of the connection."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return {}
    pairs = [pair for names in certificate.get("subject", ()) for pair in names]
    names = [value for key, value in pairs if key == "commonName"]
    organizations = tuple(value for key, value in pairs if key == "organizationName")
    return {PEER: (names[0], organizations)} if names else {}


class _TakenOver(ByteStream):
    """A connection that has left HTTP; uvicorn counts it among its own until it is lost."""

    def __init__(self, connections: set[Any]) -> None:
        super().__init__()
        self._connections = connections
        connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """What uvicorn calls when it ends."""
        self._transport.close()


def _http_protocol() -> type[asyncio.Protocol]:
    from httptools import HttpParserError, HttpParserUpgrade
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(HttpToolsProtocol):
        _early: bytes | None = None
        """What came behind a request for SPDY; None as long as there was none."""

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["extensions"] = _extensions(self.transport)

        def on_headers_complete(self) -> None:
            asked = self._get_upgrade() == b"spdy/3.1"
            if asked:
                extensions: dict[str, Any] = {
                    **_extensions(self.transport),
                    UPGRADE: self.take_over,
                }
                self.scope["extensions"] = extensions
            super().on_headers_complete()
            if asked:  # a parser that has seen an upgrade reads no second request
                self.cycle.keep_alive = False

        def data_received(self, data: bytes) -> None:
            if self._early is not None:
                self._early += data
                if len(self._early) > _EARLY_BYTES:
                    self.transport.close()
                return
            self._unset_keepalive_if_required()
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                elif UPGRADE in self.scope["extensions"]:
                    self._early = data[upgrade.args[0] :]
                else:
                    self._unsupported_upgrade_warning()
            except HttpParserError:
                self.send_400_response("Invalid HTTP request received.")

        async def take_over(self, headers: list[tuple[bytes, bytes]]) -> ByteStream:
            stream = _TakenOver(self.connections)
            self.connections.discard(self)
            self.cycle.disconnected = True  # nothing more to answer
            lines = [b"HTTP/1.1 101 Switching Protocols"]
            lines += [name + b": " + value for name, value in headers]
            stream.connection_made(self.transport)
            if self.transport.is_closing():
                stream.connection_lost(None)
                return stream
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
            if self._early:
                stream.data_received(self._early)
            self.transport.set_protocol(stream)
            return stream

    return Protocol


def _websocket_protocol() -> type[asyncio.Protocol]:
    from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

    class Protocol(WSProtocol):
        async def run_asgi(self) -> None:
            self.scope["extensions"] = {
                "websocket.http.response": {},
                **_extensions(self.transport),
            }
            await super().run_asgi()

    return Protocol
