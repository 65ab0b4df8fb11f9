"""`podward exec`: a command in a container, over a WebSocket as kubectl's (`v5.channel.k8s.io`)."""

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import click

from podward.cli.errors import CliError
from podward.cli.http_client import HttpClient, StatusError
from podward.cli.options import server_options

SUBPROTOCOL = "v5.channel.k8s.io"
STDIN, STDOUT, STDERR, OUTCOME, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("pod")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("-c", "--container", default="")
@click.option("-i", "--stdin", is_flag=True)
@click.option("-t", "--tty", is_flag=True)
@server_options
def command(
    pod: str,
    words: tuple[str, ...],
    container: str,
    stdin: bool,
    tty: bool,
    kubeconfig: str | None,
    namespace: str,
) -> None:
    """Run a command in a container: podward exec POD -- COMMAND."""
    client = HttpClient(kubeconfig)
    tty = tty and sys.stdin.isatty()
    query = [("command", word) for word in words]
    query += [("stdin", str(stdin).lower()), ("stdout", "true"), ("stderr", str(not tty).lower())]
    query += [("tty", str(tty).lower())] + ([("container", container)] if container else [])
    name = pod.rpartition("/")[2]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/exec?{urlencode(query)}"
    channel = Channel(client, path)
    with _raw_terminal(tty):
        code = _converse(channel, stdin=stdin, tty=tty)
    raise SystemExit(code)


class Channel:
    """A WebSocket to the server, spoken in whole messages."""

    def __init__(self, client: HttpClient, path: str) -> None:
        from wsproto import ConnectionType, WSConnection
        from wsproto.events import Request

        server = client.server
        try:
            plain = socket.create_connection((server.host, server.port))
        except OSError as error:
            raise CliError(
                f"The connection to the server {server.host}:{server.port} was refused - "
                "did you specify the right host or port?"
            ) from error
        self.socket = client.context.wrap_socket(plain, server_hostname=server.host)
        self._ws = WSConnection(ConnectionType.CLIENT)
        headers = [(b"authorization", f"Bearer {server.token}".encode())]
        self._send(
            Request(
                host=f"{server.host}:{server.port}",
                target=path,
                subprotocols=[SUBPROTOCOL],
                extra_headers=headers,
            )
        )
        self._open()

    def _open(self) -> None:
        from wsproto.events import AcceptConnection, RejectConnection, RejectData

        refused = None
        body = b""
        while True:
            for event in self._received():
                if isinstance(event, AcceptConnection):
                    return
                if isinstance(event, RejectConnection):
                    refused = event.status_code
                    if not event.has_body:
                        raise StatusError({"code": refused, "message": "the upgrade was refused"})
                elif isinstance(event, RejectData):
                    body += event.data
                    if event.body_finished:
                        raise StatusError(_status(body, refused))

    def messages(self) -> Iterator[bytes]:
        """What has come, in whole messages; `EOFError` when the server has closed."""
        from wsproto.events import BytesMessage, CloseConnection, Ping

        for event in self._received():
            if isinstance(event, BytesMessage):
                self._pending += event.data
                if event.message_finished:
                    yield self._pending
                    self._pending = b""
            elif isinstance(event, Ping):
                self._send(event.response())
            elif isinstance(event, CloseConnection):
                raise EOFError

    _pending = b""

    def send(self, channel: int, data: bytes) -> None:
        from wsproto.events import BytesMessage

        self._send(BytesMessage(data=bytes([channel]) + data))

    def _send(self, event: Any) -> None:
        self.socket.sendall(self._ws.send(event))

    def _received(self) -> Iterator[Any]:
        try:
            data = self.socket.recv(65536)
        except ssl.SSLWantReadError:
            return
        except OSError:
            data = b""
        self._ws.receive_data(data or None)
        yield from self._ws.events()
        if not data:
            raise EOFError


def _status(body: bytes, code: int | None) -> dict[str, Any]:
    try:
        status: dict[str, Any] = json.loads(body)
    except ValueError:
        return {"code": code, "message": body.decode(errors="replace")}
    return status


def _converse(channel: Channel, *, stdin: bool, tty: bool) -> int:
    """Carry bytes both ways until the outcome is told; the command's exit code."""
    code = 1
    with selectors.DefaultSelector() as selector:
        selector.register(channel.socket, selectors.EVENT_READ)
        if stdin:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        if tty:
            _tell_size(channel)
            signal.signal(signal.SIGWINCH, lambda *_: _tell_size(channel))
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if sys.stdin.fileno() in ready:
                data = os.read(sys.stdin.fileno(), 32768)
                channel.send(STDIN, data) if data else channel.send(CLOSE, bytes([STDIN]))
                if not data:
                    selector.unregister(sys.stdin.fileno())
            if channel.socket not in ready:
                continue
            try:
                while True:
                    for message in channel.messages():
                        code = _take(message, code)
                    if not channel.socket.pending():
                        break
            except EOFError:
                return code


def _take(message: bytes, code: int) -> int:
    channel, data = message[0], message[1:]
    if channel in (STDOUT, STDERR):
        stream = sys.stdout if channel == STDOUT else sys.stderr
        stream.buffer.write(data)
        stream.buffer.flush()
    elif channel == OUTCOME and data:
        return _exit_code(json.loads(data))
    return code


def _exit_code(status: dict[str, Any]) -> int:
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            print(f"command terminated with exit code {cause['message']}", file=sys.stderr)
            return int(cause["message"])
    print(f"error: {status.get('message')}", file=sys.stderr)
    return 1


def _tell_size(channel: Channel) -> None:
    size = shutil.get_terminal_size()
    body = json.dumps({"Width": size.columns, "Height": size.lines}).encode()
    channel.send(RESIZE, body)


@contextlib.contextmanager
def _raw_terminal(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin.fileno())
    try:
        tty.setraw(sys.stdin.fileno())
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)
