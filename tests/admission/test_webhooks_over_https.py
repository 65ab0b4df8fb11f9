"""Webhooks as real servers on this machine: certificates, kept connections, time, and an end of them."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.admission.webhook_support import (
    MUTATING,
    VALIDATING,
    Json,
    configure,
    labelling,
    patch,
    serving,
    webhook,
)
from tests.apiserver.support import PODS, Caller, pod

from podward.apiserver.certificates import Credentials, ensure_authority
from podward.machinery.clock import SystemClock
from podward.machinery.http_client import HttpAnswer, SystemHttpClient


@dataclass
class Hook:
    """A webhook server; what it answers is named by the path."""

    port: int
    authority: Credentials
    asked: list[Json] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)

    def client(self, path: str, *, bundle: bytes | None = None) -> Json:
        pem = self.authority.ca_certificate.read_bytes() if bundle is None else bundle
        return {
            "url": f"https://127.0.0.1:{self.port}/{path}",
            "caBundle": base64.b64encode(pem).decode(),
        }

    async def answer(self, asked: web.Request) -> web.Response:
        review = await asked.json()
        request = review["request"]
        self.asked.append(request)
        self.connections.add(asked.transport)
        response: Json = {"uid": request["uid"], "allowed": True}
        match asked.path:
            case "/label":
                labelled = labelling("seen")(request)
                assert isinstance(labelled, HttpAnswer)
                return web.Response(body=labelled.body, content_type="application/json")
            case "/warn":
                response["warnings"] = ["think again"]
            case "/deny":
                response |= {"allowed": False, "status": {"message": "no", "code": 403}}
            case "/misfit":
                response |= patch({"op": "remove", "path": "/spec/none"})
            case "/slow":
                await asyncio.sleep(60)
            case _:
                raise web.HTTPNotFound
        told = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
        return web.json_response(told)


@asynccontextmanager
async def hook(authority: Credentials, port: int = 0) -> AsyncIterator[Hook]:
    made = Hook(port, authority)
    app = web.Application()
    app.router.add_post("/{path}", made.answer)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.server_certificate, authority.server_key)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True).start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return ensure_authority(tmp_path_factory.mktemp("pki"), SystemClock(), [])


@asynccontextmanager
async def cluster() -> AsyncIterator[Caller]:
    client = SystemHttpClient()
    api = await serving(client)
    try:
        yield api
    finally:
        await client.close()


async def made(api: Caller, name: str, **query: str) -> tuple[int, Json]:
    got = await api("POST", PODS, pod(name), query=query)
    return got.status, json.loads(got.body)


def test_a_pod_comes_back_patched_over_one_connection(authority: Credentials) -> None:
    async def main() -> None:
        async with cluster() as api, hook(authority) as server:
            await configure(api, "x", webhook("a", clientConfig=server.client("label")))
            for i in range(10):
                status, obj = await made(api, f"web-{i}")
                assert (status, obj["metadata"]["labels"]) == (201, {"seen": "yes"})
            assert (len(server.asked), len(server.connections)) == (10, 1)
            status, obj = await made(api, "dry", dryRun="All")
            assert (status, obj["metadata"]["labels"]) == (201, {"seen": "yes"})
            assert server.asked[-1]["dryRun"] is True
            assert (await api("GET", f"{PODS}/dry")).status == 404

    asyncio.run(main())


def test_what_a_server_says_reaches_the_client(authority: Credentials) -> None:
    async def main() -> None:
        async with cluster() as api, hook(authority) as server:
            await configure(
                api, "x", webhook("a", clientConfig=server.client("warn")), path=VALIDATING
            )
            got = await api("POST", PODS, pod("web"))
            assert got.headers["warning"] == '299 - "think again"'
            for path, code, text in (
                ("deny", 403, 'admission webhook "a.example.org" denied the request: no'),
                ("misfit", 500, "Internal error occurred: remove operation does not apply"),
                ("none", 500, "Internal error occurred: failed calling webhook "
                 '"a.example.org": failed to call webhook: the server could not find the requested '
                 "resource"),
            ):  # fmt: skip
                client = server.client(path)
                policy = "Fail" if path == "none" else "Ignore"
                await configure(api, "y", webhook("a", clientConfig=client, failurePolicy=policy))
                status, obj = await made(api, f"web-{path}")
                assert status == code
                assert obj["message"].startswith(text)
                await api("DELETE", f"{MUTATING}/y")

    asyncio.run(main())


@pytest.mark.parametrize("why", ["gone", "another authority", "slow"])
def test_a_server_that_cannot_be_asked_is_what_failure_policy_says(
    why: str, authority: Credentials, tmp_path: Path
) -> None:
    async def main() -> None:
        other = ensure_authority(tmp_path, SystemClock(), [])
        bundle = other.ca_certificate.read_bytes() if why == "another authority" else None
        async with cluster() as api, there_or_gone(authority, why == "gone") as server:
            client = server.client("slow" if why == "slow" else "label", bundle=bundle)
            hooked = webhook("a", clientConfig=client, timeoutSeconds=1)
            await configure(api, "x", hooked)
            status, obj = await made(api, "web")
            assert (status, obj["reason"]) == (500, "InternalError")
            assert obj["message"].startswith(
                'Internal error occurred: failed calling webhook "a.example.org": failed to call webhook: '
                f'Post "{client["url"]}?timeout=1s": '
            )
            said = {
                "gone": "connection refused",
                "another authority": "certificate verify failed: ",
                "slow": "context deadline exceeded",
            }
            assert said[why] in obj["message"]
            await api("DELETE", f"{MUTATING}/x")
            await configure(api, "x", hooked | {"failurePolicy": "Ignore"})
            status, obj = await made(api, "web")
            assert (status, "labels" in obj["metadata"]) == (201, False)

    asyncio.run(main())


@asynccontextmanager
async def there_or_gone(authority: Credentials, gone: bool) -> AsyncIterator[Hook]:
    """A server; if `gone`, one that has been there."""
    async with hook(authority) as server:
        if not gone:
            yield server
    if gone:
        yield server


def test_a_server_that_came_back_is_asked_though_its_connections_are_dead(
    authority: Credentials,
) -> None:
    async def main() -> None:
        async with cluster() as api:
            async with hook(authority) as server:
                await configure(api, "x", webhook("a", clientConfig=server.client("label")))
                assert (await made(api, "one"))[0] == 201
            async with hook(authority, server.port):
                assert (await made(api, "two"))[0] == 201

    asyncio.run(main())
