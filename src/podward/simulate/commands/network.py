"""Programs that listen and call."""

import asyncio
import posixpath
import re
from urllib.parse import unquote, urlsplit

from podward.simulate.commands.system import for_ever
from podward.simulate.files import absolute
from podward.simulate.ports import Stream
from podward.simulate.processes import CannotSimulate, Process, Program

_CALL_TIMEOUT_SECONDS = 900.0


async def read_head(stream: Stream) -> bytes:
    """Up to the empty line; empty if the peer said nothing."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.read()
        if not data:
            return head
        head += data
    return head


def http_answer(code: int, body: bytes, reason: str = "") -> bytes:
    reasons = {200: "OK", 404: "Not Found", 500: "Internal Server Error"}
    text = reason or reasons.get(code, "Status")
    head = f"HTTP/1.1 {code} {text}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


async def httpd(process: Process) -> int:
    """busybox's: `-p [ADDRESS:]PORT`, `-h HOME`, `-f` to stay in the foreground."""
    words = process.argv[1:]
    port, home, foreground = 80, process.cwd, False
    while words:
        word = words.pop(0)
        if word == "-p" and words:
            port = int(words.pop(0).rpartition(":")[2])
        elif word == "-h" and words:
            home = absolute(words.pop(0), process.cwd)
        elif word.startswith("-") and "f" in word:
            foreground = True
    if not foreground:
        daemon = process.group.spawn(
            lambda child: _serve_files(child, port, home), process.argv, env=process.env, cwd=home,
            stdin=process.stdin, stdout=process.stdout, stderr=process.stderr,
        )  # fmt: skip
        del daemon
        return 0
    return await _serve_files(process, port, home)


async def _serve_files(process: Process, port: int, home: str) -> int:
    async def serve(stream: Stream) -> None:
        line = (await read_head(stream)).split(b"\r\n")[0].decode(errors="replace").split(" ")
        if len(line) < 2:
            return
        path = absolute(unquote(urlsplit(line[1]).path).lstrip("/") or ".", home)
        if process.files.kind(path) == "directory":
            index = posixpath.join(path, "index.html")
            listing = "".join(f"{name}\n" for name in process.files.names(path)).encode()
            exists = process.files.kind(index) == "file"
            stream.write(http_answer(200, process.files.read(index) if exists else listing))
        elif process.files.kind(path) == "file":
            stream.write(http_answer(200, process.files.read(path)))
        else:
            stream.write(http_answer(404, b"not found\n"))

    try:
        process.listen(port, serve)
    except OSError as error:
        name = process.argv[0].rpartition("/")[2]
        process.stderr.write(f"{name}: bind: {error.strerror}\n".encode())
        return 1
    await for_ever()
    return 0


async def python(process: Process) -> int:
    """Only `-m http.server [PORT]`, which manifests use for want of a server."""
    words = process.argv[1:]
    if words[:2] != ["-m", "http.server"]:
        raise CannotSimulate(
            f"the simulator cannot run {' '.join(process.argv)!r}: describe it in a --behaviour file"
        )
    ports = [int(word) for word in words[2:] if word.isdigit()]
    folder = process.cwd
    for option in ("-d", "--directory"):
        if option in words:
            folder = absolute(words[words.index(option) + 1], process.cwd)
    return await _serve_files(process, (ports or [8000])[0], folder)


async def nc(process: Process) -> int:
    """`-l [-k] [-p] PORT`, `-z HOST PORT`, and a plain conversation."""
    flags, names, port = "", [], None
    words = process.argv[1:]
    while words:
        word = words.pop(0)
        if word == "-p" and words:
            port = int(words.pop(0))
        elif word in ("-w", "-q", "-e") and words:
            words.pop(0)
        elif word.startswith("-"):
            flags += word[1:]
        else:
            names.append(word)
    if "l" in flags:
        return await _nc_listen(process, port or int(names[-1]), again="k" in flags)
    if len(names) < 2:
        process.stderr.write(b"nc: missing HOST PORT\n")
        return 1
    try:
        stream = dial(process, names[0], int(names[1]))
    except OSError as error:
        if "v" in flags or "z" not in flags:
            text = f"nc: can't connect to remote host ({names[0]}): {error.strerror}\n"
            process.stderr.write(text.encode())
        return 1
    if "z" not in flags:
        stream.write(await process.stdin.read_all())
        stream.close()
        while data := await stream.read():
            process.stdout.write(data)
    stream.close()
    return 0


async def _nc_listen(process: Process, port: int, *, again: bool) -> int:
    served = asyncio.Event()

    async def serve(stream: Stream) -> None:
        stream.write(await process.stdin.read_all())
        stream.close()
        while data := await stream.read():
            process.stdout.write(data)
        served.set()

    try:
        process.listen(port, serve)
    except OSError as error:
        process.stderr.write(f"nc: bind: {error.strerror}\n".encode())
        return 1
    if again:
        await for_ever()
    await served.wait()
    return 0


def dial(process: Process, host: str, port: int) -> Stream:
    group = process.group
    own = host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", group.hostname)
    return group.network.dial(group.address if own else host, port)


async def wget(process: Process) -> int:
    """Also `curl`: exit codes and texts are each one's own."""
    is_curl = process.argv[0].rpartition("/")[2] == "curl"
    words, url, output, timeout, flags = process.argv[1:], "", None, _CALL_TIMEOUT_SECONDS, ""
    while words:
        word = words.pop(0)
        if word in ("-O", "-o", "--output") and words:
            output = words.pop(0)
        elif word in ("-T", "-t", "-m", "--max-time", "--connect-timeout", "--timeout") and words:
            value = words.pop(0)
            timeout = float(value) if word != "-t" else timeout
        elif word in ("-H", "--header", "-X", "--user-agent", "-A", "-w") and words:
            words.pop(0)
        elif match := re.fullmatch(r"-([a-zA-Z]*)O-", word):
            output, flags = "-", flags + match[1]
        elif word.startswith("--"):
            flags += {"--fail": "f", "--silent": "s", "--quiet": "q", "--spider": "S"}.get(word, "")
        elif word.startswith("-"):
            flags += word[1:]
        else:
            url = word
    parts = urlsplit(url if "://" in url else f"http://{url}")
    host, port = parts.hostname or "", parts.port or 80
    try:
        stream = dial(process, host, port)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        stream.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        async with asyncio.timeout(timeout):
            code, body = await _answer(stream)
    except TimeoutError:
        text = "curl: (28) Operation timed out\n" if is_curl else "wget: download timed out\n"
        process.stderr.write(text.encode())
        return 28 if is_curl else 1
    except OSError as error:
        text = f"wget: can't connect to remote host ({host}): {error.strerror}\n"
        if is_curl:
            text = f"curl: (7) Failed to connect to {host} port {port}: {error.strerror}\n"
        process.stderr.write(text.encode())
        return 7 if is_curl else 1
    if code >= 400 and (not is_curl or "f" in flags):
        text = f"wget: server returned error: HTTP/1.1 {code}\n"
        if is_curl:
            text = f"curl: (22) The requested URL returned error: {code}\n"
        process.stderr.write(text.encode())
        return 22 if is_curl else 1
    if output not in (None, "-"):
        process.files.write(absolute(str(output), process.cwd), body)
    elif is_curl or output == "-":
        process.stdout.write(body)
    elif "S" not in flags:
        name = posixpath.basename(parts.path) or "index.html"
        process.files.write(absolute(name, process.cwd), body)
    return 0


async def _answer(stream: Stream) -> tuple[int, bytes]:
    data = bytearray()
    while more := await stream.read():
        data += more
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    words = head.split(b" ")
    if len(words) < 2 or not words[1].isdigit():
        raise ConnectionResetError(104, "Connection reset by peer")
    return int(words[1]), body


PROGRAMS: dict[str, Program] = {
    "httpd": httpd, "nc": nc, "ncat": nc, "wget": wget, "curl": wget, "python3": python, "python": python,
}  # fmt: skip
