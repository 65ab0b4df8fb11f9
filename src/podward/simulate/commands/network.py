"""Programs that listen and call."""

import asyncio
import errno
import ipaddress
import os
import posixpath
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from podward.simulate.commands import options
from podward.simulate.commands.options import Options
from podward.simulate.commands.system import for_ever
from podward.simulate.commands.text import encoded
from podward.simulate.files import absolute
from podward.simulate.ports import Stream
from podward.simulate.processes import CannotSimulate, Pipe, Process, Program

T = TypeVar("T")
_LOCAL = ("localhost", "127.0.0.1", "::1", "[::1]")
_WGET_SECONDS = 900.0
_REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 501: "Not Implemented"}


async def read_head(stream: Stream) -> bytes:
    """Up to the empty line, with whatever came along; empty if the peer said nothing."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.read()
        if not data:
            return head
        head += data
    return head


def http_answer(code: int, body: bytes, reason: str = "") -> bytes:
    text = reason or _REASONS.get(code, "Status")
    head = f"HTTP/1.1 {code} {text}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def _listen(process: Process, port: int, serve: Any, address: str = "") -> bool:
    """Whether it could; an address of the loopback is heard within the Pod only."""
    try:
        process.listen(port, serve, local=address in _LOCAL)
    except OSError as error:
        process.complain(f"{process.name}: bind: {error.strerror}")
        return False
    return True


# ---- servers


async def httpd(process: Process) -> int:
    """busybox's: `-p [ADDRESS:]PORT`, `-h HOME`, `-f` to stay in the foreground."""
    chosen = options.read(process, "fvi", "phu")
    address, _, port = chosen.get("p", "80").rpartition(":")
    home = absolute(chosen.get("h", "."), process.cwd)
    if process.files.kind(home) != "directory":
        process.complain(
            f"httpd: can't change directory to '{chosen.get('h', '.')}': No such file or directory"
        )
        return 1

    async def run(one: Process) -> int:
        return await _serve_files(one, int(port), home, address, lists=False)

    if "f" in chosen:
        return await run(process)
    process.group.spawn(
        run, process.argv, env=process.env, cwd=home,
        stdin=Pipe(ended=True), stdout=process.stdout, stderr=process.stderr,
    )  # fmt: skip
    return 0


async def _serve_files(process: Process, port: int, home: str, address: str, *, lists: bool) -> int:
    async def serve(stream: Stream) -> None:
        line = (await read_head(stream)).split(b"\r\n")[0].decode(errors="replace").split(" ")
        if len(line) < 2:
            return
        if line[0] not in ("GET", "HEAD"):
            stream.write(http_answer(501, b""))
            return
        path = unquote(urlsplit(line[1]).path)
        if path.startswith("/cgi-bin/"):
            process.problem(
                CannotSimulate(f"{process.name}: the simulator runs no CGI programs ({path})")
            )
            return
        answer = _file_answer(process, absolute(path.lstrip("/") or ".", home), lists=lists)
        stream.write(answer if line[0] == "GET" else answer[: answer.index(b"\r\n\r\n") + 4])

    if not _listen(process, port, serve, address):
        return 1
    await for_ever()
    return 0


def _file_answer(process: Process, path: str, *, lists: bool) -> bytes:
    """`lists`: a folder without index.html is shown; busybox has no such page."""
    files = process.files
    if files.kind(path) == "directory":
        index = posixpath.join(path, "index.html")
        if files.kind(index) != "file" and lists:
            return http_answer(200, encoded("".join(f"{name}\n" for name in files.names(path))))
        path = index
    if files.kind(path) == "file":
        return http_answer(200, files.read(path))
    return http_answer(404, b"not found\n")


async def python(process: Process) -> int:
    """Only `-m http.server [PORT]`, which manifests use for want of a server."""
    words = process.argv[1:]
    words = words[1:] if words[:1] == ["-u"] else words
    if words[:2] != ["-m", "http.server"]:
        raise CannotSimulate(
            f"the simulator cannot run {' '.join(process.argv)!r}: describe it in a --behaviour file"
        )
    process.argv = [process.argv[0], *words[2:]]
    chosen = options.read(process, "", "db", {"directory": "d", "bind": "b"})
    folder = absolute(chosen.get("d", "."), process.cwd)
    port = int((chosen.names or ["8000"])[0])
    return await _serve_files(process, port, folder, chosen.get("b", ""), lists=True)


# ---- nc


@dataclass(slots=True)
class _Conversation:
    """What `nc` was asked for."""

    flags: str = ""
    names: list[str] = field(default_factory=list)
    port: int | None = None
    address: str = ""
    seconds: float | None = None
    program: list[str] = field(default_factory=list)


async def nc(process: Process) -> int:
    """`-l [-k] [-p] PORT [-e PROGRAM ...]`, `-z [-w N] HOST PORT`, and a plain conversation."""
    asked = _nc_options(process)
    if "l" in asked.flags:
        port = asked.port or (
            int(asked.names[-1]) if asked.names and asked.names[-1].isdigit() else 0
        )
        return await _nc_listen(process, asked, port)
    if len(asked.names) < 2 or not asked.names[1].isdigit():
        process.complain("nc: missing HOST PORT")
        return 1
    host, port = asked.names[0], int(asked.names[1])
    try:
        stream = dial(process, host, port)
    except OSError as error:
        if "v" in asked.flags or "z" not in asked.flags:
            process.complain(f"nc: can't connect to remote host ({host}): {error.strerror}")
        return 1
    if "v" in asked.flags:
        process.complain(f"{host} ({host}:{port}) open")
    try:
        if "z" not in asked.flags:
            await _within(asked.seconds, _converse(process, stream, asked.program))
    except TimeoutError:
        return 1
    finally:
        stream.close()
    return 0


def _nc_options(process: Process) -> _Conversation:
    asked = _Conversation()
    words = process.argv[1:]
    while words:
        word = words.pop(0)
        if word in ("-p", "-w", "-q", "-s", "-i") and words:
            value = words.pop(0)
            if word == "-p":
                asked.port = int(value)
            elif word == "-s":
                asked.address = value
            elif word == "-w":
                asked.seconds = float(value)
            elif word == "-i":
                raise options.unknown(process, word)
        elif re.fullmatch(r"-[lkznv46u]*[ec]", word) and words:
            asked.flags += word[1:-1]
            asked.program = words if word[-1] == "e" else ["sh", "-c", words[0]]
            words = []
        elif re.fullmatch(r"-[lkznv4N]*p", word) and words:
            asked.flags += word[1:-1]
            asked.port = int(words.pop(0))
        elif re.fullmatch(r"-w\d+", word):
            asked.seconds = float(word[2:])
        elif re.fullmatch(r"-[lkznv4N]+", word):
            asked.flags += word[1:]
        elif word.startswith("-"):
            raise options.unknown(process, word)
        else:
            asked.names.append(word)
    return asked


async def _nc_listen(process: Process, asked: _Conversation, port: int) -> int:
    served = asyncio.get_running_loop().create_future()
    busy: list[Stream] = []

    async def serve(stream: Stream) -> None:
        if busy and not asked.program:
            return  # it talks with one at a time
        busy.append(stream)
        await _converse(process, stream, asked.program)
        busy.remove(stream)
        if not served.done():
            served.set_result(None)

    if not port or not _listen(process, port, serve, asked.address):
        return 1
    if "k" in asked.flags:
        await for_ever()
    await served
    return 0


async def _converse(process: Process, stream: Stream, program: list[str]) -> None:
    """Our input to the peer and the peer's to our output, until the peer ends; or a program does both."""
    if program:
        await _talk(process, stream, program)
        return
    sending = asyncio.ensure_future(_send(process, stream))
    try:
        while data := await stream.read():
            process.stdout.write(data)
    finally:
        sending.cancel()


async def _send(process: Process, stream: Stream) -> None:
    while data := await process.stdin.read():
        stream.write(data)
    stream.close()


async def _talk(process: Process, stream: Stream, words: list[str]) -> None:
    program = process.found(words[0])
    if program is None:
        return
    heard = Pipe()
    child = process.group.spawn(
        program, words, env=process.env, cwd=process.cwd, parent=process,
        stdin=heard, stdout=_ToStream(stream), stderr=process.stderr,
    )  # fmt: skip

    async def hear() -> None:
        while data := await stream.read():
            heard.write(data)
        heard.end()

    hearing = asyncio.ensure_future(hear())
    try:
        await child.wait()
    finally:
        hearing.cancel()


@dataclass(frozen=True, slots=True)
class _ToStream:
    stream: Stream

    def write(self, data: bytes) -> None:
        self.stream.write(data)


# ---- clients


def dial(process: Process, host: str, port: int) -> Stream:
    """`OSError` as the kernel or the resolver would say it."""
    group = process.group
    if host in (*_LOCAL, "0.0.0.0", group.hostname):
        local = group.network.listening(group.local_address, port)
        return group.network.dial(group.local_address if local else group.address, port)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise OSError(errno.ENXIO, "bad address", host) from None
    return group.network.dial(host, port)


async def _within(seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
    """`TimeoutError` after so long. In a task of its own: a process is none (`processes`)."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


@dataclass(frozen=True, slots=True)
class _Url:
    text: str
    host: str
    port: int
    target: str

    @property
    def file_name(self) -> str:
        return posixpath.basename(self.target.partition("?")[0]) or "index.html"


def _url(process: Process, text: str) -> _Url:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http":
        raise CannotSimulate(f"{process.name}: the simulator speaks plain HTTP only, not {text!r}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Url(text, parts.hostname or "", parts.port or 80, target)


@dataclass(frozen=True, slots=True)
class _Answer:
    code: int
    head: bytes
    body: bytes


async def _ask(
    process: Process, url: _Url, method: str, headers: list[str], body: bytes
) -> _Answer:
    stream = dial(process, url.host, url.port)
    try:
        lines = [
            f"{method} {url.target} HTTP/1.1",
            f"Host: {url.host}:{url.port}",
            *headers,
            "Connection: close",
        ]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        stream.write("\r\n".join([*lines, "", ""]).encode() + body)
        return await _answer(stream, method)
    finally:
        stream.close()


async def _answer(stream: Stream, method: str) -> _Answer:
    head, _, body = (await read_head(stream)).partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split(b" ")
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    expected = 0 if method == "HEAD" else int(length[1]) if length else None
    while expected is None or len(body) < expected:
        data = await stream.read()
        if not data:
            break
        body += data
    return _Answer(int(words[1]), head, body[:expected])


_WGET_LONG = {
    "quiet": "q", "spider": "s", "timeout": "T", "tries": "t", "header": "H", "output-document": "O",
    "user-agent": "U", "post-data": "D", "no-check-certificate": "c", "no-verbose": "n", "server-response": "S",
}  # fmt: skip


async def wget(process: Process) -> int:
    chosen = options.read(process, "qScns", "OTtUPYHD", _WGET_LONG)
    if set(chosen) & set("PY") or chosen.get("t", "1") not in ("0", "1"):
        raise options.unknown(process, "-P, -Y or several tries")
    if len(chosen.names) != 1:
        process.complain("Usage: wget [OPTIONS] URL")
        return 1
    url = _url(process, chosen.names[0])
    try:
        seconds = float(chosen.get("T", _WGET_SECONDS))
        headers = [value for letter, value in chosen.every if letter == "H"]
        body = encoded(chosen.get("D", ""))
        method = "POST" if "D" in chosen else "GET"
        answer = await _within(seconds, _ask(process, url, method, headers, body))
    except TimeoutError:
        process.complain("wget: download timed out")
        return 1
    except OSError as error:
        bad = error.errno == errno.ENXIO
        process.complain(
            f"wget: bad address '{url.host}'" if bad
            else f"wget: can't connect to remote host ({url.host}): {error.strerror}"
        )  # fmt: skip
        return 1
    if "S" in chosen:
        process.complain(
            "\n".join(f"  {line}" for line in answer.head.decode(errors="replace").split("\r\n"))
        )
    if answer.code >= 300:
        first = answer.head.split(b"\r\n")[0].decode(errors="replace")
        process.complain(f"wget: server returned error: {first}")
        return 1
    if "s" in chosen:
        return 0
    name = chosen.get("O", url.file_name)
    return _save(process, name, answer.body, 1)


def _save(process: Process, name: str, body: bytes, code: int) -> int:
    if name == "-":
        process.stdout.write(body)
        return 0
    try:
        process.files.write(absolute(name, process.cwd), body)
    except OSError as error:
        process.complain(f"{process.name}: can't open '{name}': {error.strerror}")
        return code
    return 0


_CURL_LONG = {
    "fail": "f", "silent": "s", "show-error": "S", "output": "o", "remote-name": "O", "write-out": "w",
    "request": "X", "header": "H", "data": "d", "head": "I", "include": "i", "insecure": "k",
    "location": "L", "max-time": "m", "connect-timeout": "c", "user-agent": "A", "user": "u", "verbose": "v",
    "ipv4": "4", "get": "G", "url": "U",
}  # fmt: skip


async def curl(process: Process) -> int:
    chosen = options.read(process, "fsSOIikLv4N", "owXHdmcAuU", _CURL_LONG)
    urls = chosen.names + ([chosen["U"]] if "U" in chosen else [])
    if len(urls) != 1:
        process.complain(
            "curl: (2) no URL specified" if not urls else "curl: (2) one URL at a time here"
        )
        return 2
    url = _url(process, urls[0])
    body = encoded(chosen.get("d", ""))
    method = chosen.get("X", "HEAD" if "I" in chosen else "POST" if "d" in chosen else "GET")
    headers = [value for letter, value in chosen.every if letter == "H"]
    seconds = float(chosen["m"]) if "m" in chosen else None
    code, text, answer = 0, "", _Answer(0, b"", b"")
    try:
        answer = await _within(seconds, _ask(process, url, method, headers, body))
    except TimeoutError:
        code, text = 28, f"Operation timed out after {float(chosen['m']) * 1000:.0f} milliseconds"
    except ConnectionResetError:
        code, text = 52, "Empty reply from server"
    except OSError as error:
        code, text = 7, f"Failed to connect to {url.host} port {url.port}: {error.strerror}"
        if error.errno == errno.ENXIO:
            code, text = 6, f"Could not resolve host: {url.host}"
    if not code and answer.code >= 400 and "f" in chosen:
        code, text = 22, f"The requested URL returned error: {answer.code}"
    if code and ("s" not in chosen or "S" in chosen):
        process.complain(f"curl: ({code}) {text}")
    if not code:
        code = _curl_output(process, chosen, url, answer)
    if "w" in chosen:
        process.write(_written_out(process, chosen["w"], answer, url))
    return code


def _curl_output(process: Process, chosen: Options, url: _Url, answer: _Answer) -> int:
    shown = answer.body
    if set(chosen) & set("iI"):
        shown = answer.head + b"\r\n\r\n" + shown
    name = url.file_name if "O" in chosen else chosen.get("o", "-")
    return _save(process, name, shown, 23)


def _written_out(process: Process, pattern: str, answer: _Answer, url: _Url) -> str:
    known = {"http_code": f"{answer.code:03d}", "response_code": f"{answer.code:03d}", "time_total": "0.000000",
             "size_download": str(len(answer.body)), "url_effective": url.text, "exitcode": "0"}  # fmt: skip

    def one(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise options.unknown(process, match[0])
        return known[match[1]]

    text = pattern.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    return re.sub(r"%\{([^}]*)\}", one, text).replace("%%", "%")


PROGRAMS: dict[str, Program] = {
    "httpd": httpd, "nc": nc, "ncat": nc, "wget": wget, "curl": curl, "python3": python, "python": python,
}  # fmt: skip
