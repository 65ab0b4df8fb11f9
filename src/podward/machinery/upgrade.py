"""Leaving HTTP: a request that asks a server for another protocol, and the connection once it has agreed."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from podward.machinery.network import ByteStream, Network

_MAX_HEAD: Final = 64 * 1024
_MAX_TEXT: Final = 16 * 1024


class UpgradeRefused(Exception):
    """It answered something else; the text is what it said."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def upgrade(
    network: Network, url: str, protocol: str, headers: Mapping[str, str]
) -> tuple[ByteStream, Mapping[str, str]]:
    """The connection from its first byte after HTTP on, and the answer's headers (lower-case names).

    `OSError` if nobody is there; `UpgradeRefused`. With https no certificate is checked, as `Network` has it.
    """
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host = parts.hostname or "localhost"
    tls_name = host if tls else None
    port = parts.port or (443 if tls else 80)
    _, stream = await network.connect(host, port, ByteStream, tls_name=tls_name)
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        fields = {"Host": parts.netloc, "Connection": "Upgrade", "Upgrade": protocol, **headers}
        lines = [f"POST {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        await stream.write("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
        head, rest = await _head(stream)
        status, found = _parsed(head)
        if status != 101:
            raise UpgradeRefused(status, await _text(stream, rest, found))
        stream.unread(rest)
    except BaseException:
        stream.abort()
        raise
    return stream, found


async def _head(stream: ByteStream) -> tuple[str, bytes]:
    got = bytearray()
    while (end := got.find(b"\r\n\r\n")) < 0:
        piece = await stream.read()
        if not piece or len(got) > _MAX_HEAD:
            raise UpgradeRefused(0, "it did not answer in HTTP")
        got += piece
    return got[:end].decode("latin-1"), bytes(got[end + 4 :])


def _parsed(head: str) -> tuple[int, dict[str, str]]:
    first, *lines = head.split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise UpgradeRefused(0, "it did not answer in HTTP")
    pairs = (line.partition(":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _text(stream: ByteStream, rest: bytes, headers: Mapping[str, str]) -> str:
    """Its words, as far as they are told to be long."""
    length = headers.get("content-length", "0")
    wanted = min(int(length) if length.isdecimal() else 0, _MAX_TEXT)
    while len(rest) < wanted and (piece := await stream.read()):
        rest += piece
    return rest[:wanted].decode(errors="replace").strip()
