"""API requests/s over one keep-alive HTTPS connection, and watch fan-out: one write seen by many watchers."""

import asyncio
import json
import re
import ssl
import time

from harness import Server, report, server, spread

READS, WRITES, WATCHERS, EVENTS = 2000, 300, 100, 50


class Connection:
    """Just enough HTTP/1.1 to be cheaper than what it measures."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str
    ) -> None:
        self.reader, self.writer, self.token = reader, writer, token

    def send(self, method: str, path: str, body: bytes = b"") -> None:
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        self.send(method, path, body)
        head = await self.head()
        assert " 20" in head.split("\r\n")[0], head
        if match := re.search(r"content-length: (\d+)", head, re.I):
            return await self.reader.readexactly(int(match[1]))
        chunks = b""
        while size := int(await self.reader.readline(), 16):
            chunks += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return chunks


async def connect(podward: Server) -> Connection:
    token = re.search(r"token: (\S+)", podward.kubeconfig.read_text())
    assert token is not None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = podward.url.removeprefix("https://").rpartition(":")
    return Connection(*await asyncio.open_connection(host, int(port), ssl=context), token[1])


def config_map(name: str, value: str) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                       "data": {"k": value}}).encode()  # fmt: skip


async def measure(podward: Server) -> None:
    base = "/api/v1/namespaces/default/configmaps"
    one = await connect(podward)
    await one.call("POST", base, config_map("a", "0"))
    began, cpu = time.monotonic(), podward.cpu_s()
    for _ in range(READS):
        await one.call("GET", f"{base}/a")
    reads_s, read_cpu = time.monotonic() - began, podward.cpu_s() - cpu

    writers = [await connect(podward) for _ in range(16)]
    began = time.monotonic()

    async def write(connection: Connection, offset: int) -> None:
        for i in range(WRITES // 16):
            await connection.call("POST", base, config_map(f"w{offset}-{i}", "0"))

    await asyncio.gather(*(write(c, i) for i, c in enumerate(writers)))
    writes_s = time.monotonic() - began

    watchers = [await connect(podward) for _ in range(WATCHERS)]
    version = json.loads(await one.call("GET", base))["metadata"]["resourceVersion"]
    for watcher in watchers:
        watcher.send(
            "GET", f"{base}?watch=true&resourceVersion={version}&fieldSelector=metadata.name=a"
        )
        await watcher.head()
    lags: list[float] = []

    async def follow(watcher: Connection) -> None:
        for _ in range(EVENTS):
            while b'"sent:' not in (line := await watcher.reader.readline()):
                pass
            match = re.search(rb'"sent:([\d.]+)"', line)
            assert match is not None
            lags.append(time.monotonic() - float(match[1]))

    followers = [asyncio.create_task(follow(watcher)) for watcher in watchers]
    cpu = podward.cpu_s()
    for _ in range(EVENTS):
        await one.call("PUT", f"{base}/a", config_map("a", f"sent:{time.monotonic()}"))
        await asyncio.sleep(0.05)
    await asyncio.gather(*followers)
    report(
        "api",
        reads_per_s=round(READS / reads_s),
        read_cpu_us=round(read_cpu / READS * 1e6),
        writes_per_s_16_clients=round(WRITES // 16 * 16 / writes_s),
        watchers=WATCHERS,
        fan_out_lag=spread(lags, "s"),
        fan_out_cpu_us_per_delivery=round((podward.cpu_s() - cpu) / (EVENTS * WATCHERS) * 1e6),
    )


if __name__ == "__main__":
    with server() as podward:
        asyncio.run(measure(podward))
