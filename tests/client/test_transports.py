"""In this process or over the network: nothing above a transport can tell. And what only the network has."""

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from tests.client.support import started
from tests.contracts import transport as contract

from podward.admission.chain import AdmissionChain
from podward.apiserver.app import ApiServer
from podward.apiserver.authentication import Authenticator
from podward.apiserver.certificates import Credentials, ensure_authority, write_kubeconfig
from podward.apiserver.serving import HttpsServer
from podward.client.access import Access, FileToken, from_kubeconfig
from podward.client.base import TransportError
from podward.client.transports.http import HttpTransport
from podward.machinery.clock import SystemClock
from podward.machinery.entropy import Entropy
from podward.machinery.http_client import HttpAnswer, SystemHttpClient, TlsOptions
from podward.simulate.virtual_loop import run
from podward.store.memory import MemoryStore

PODS = "/api/v1/namespaces/default/pods"
NONE = TlsOptions()


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return ensure_authority(tmp_path_factory.mktemp("authority"), SystemClock(), ["127.0.0.1"])


@contextlib.asynccontextmanager
async def served(credentials: Credentials) -> AsyncIterator[tuple[ApiServer, str]]:
    app = ApiServer(
        MemoryStore(), SystemClock(), Entropy(), admission=AdmissionChain([]), node_access=None,
        authenticate=Authenticator.from_credentials(credentials),
    )  # fmt: skip
    await app.bootstrap()
    server = HttpsServer(app, host="127.0.0.1", port=0, credentials=credentials)
    port = await server.start()
    try:
        yield app, f"https://127.0.0.1:{port}"
    finally:
        await app.close()
        await server.stop()


@contextlib.asynccontextmanager
async def reached(access: Access) -> AsyncIterator[HttpTransport]:
    http = SystemHttpClient()
    transport = HttpTransport(access, http)
    try:
        yield transport
    finally:
        transport.close()
        await http.close()


def admin(credentials: Credentials, url: str, folder: Path) -> Access:
    write_kubeconfig(folder / "kubeconfig", url, credentials)
    return from_kubeconfig(folder / "kubeconfig")


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_the_in_process_transport_keeps_the_contract(check: contract.Check) -> None:
    async def main() -> None:
        api = await started()
        await check(contract.Line(api.line, api.server))

    run(main())


@pytest.mark.parametrize("check", contract.OVER_A_NETWORK, ids=lambda check: check.__name__)
def test_the_http_transport_keeps_the_contract(
    check: contract.Check, credentials: Credentials, tmp_path: Path
) -> None:
    async def main() -> None:
        async with (
            served(credentials) as (app, url),
            reached(admin(credentials, url, tmp_path)) as transport,
        ):
            await check(contract.Line(transport, app))

    asyncio.run(main())


def test_a_client_certificate_lets_in_as_a_token_does_and_its_key_touches_no_disk(
    credentials: Credentials,
) -> None:
    authority = credentials.ca_certificate.read_bytes()
    certificate = credentials.admin_certificate.read_bytes()
    key = credentials.admin_key.read_bytes()

    async def main() -> None:
        async with served(credentials) as (_, url):
            by_text = Access(url, authority, client_pem=certificate + key)
            by_file = Access(
                url, authority, client_certificate=credentials.admin_certificate,
                client_key=credentials.admin_key,
            )  # fmt: skip
            for access, code in ((by_text, 200), (by_file, 200), (Access(url, authority), 401)):
                async with reached(access) as transport:
                    assert (await transport.request("GET", PODS)).status == code
        assert not [fd for fd in os.listdir("/proc/self/fd") if _is_secret(fd)]

    asyncio.run(main())


def _is_secret(descriptor: str) -> bool:
    try:
        return "podward-client" in os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return False


def test_a_server_of_another_authority_is_not_believed(
    credentials: Credentials, tmp_path: Path
) -> None:
    other = ensure_authority(tmp_path, SystemClock(), ["127.0.0.1"])

    async def main() -> None:
        async with served(credentials) as (_, url):
            access = Access(url, other.ca_certificate.read_bytes())
            async with reached(access) as transport:
                with pytest.raises(TransportError, match="certificate verify failed"):
                    await transport.request("GET", PODS)

    asyncio.run(main())


def test_a_server_that_is_not_there_is_a_transport_error_that_names_it() -> None:
    async def main() -> None:
        async with reached(Access("https://127.0.0.1:1")) as transport:
            with pytest.raises(TransportError, match=r"127\.0\.0\.1:1: connection refused"):
                await transport.request("GET", PODS)
            with pytest.raises(TransportError, match=r"127\.0\.0\.1:1: connection refused"):
                await anext(transport.stream(PODS))

    asyncio.run(main())


class Noting:
    """An HTTP client that answers from memory: a `Status` to requests, silence to streams."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []
        self.closed = False

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
        timeout: float = 30.0, tls: TlsOptions = NONE,
    ) -> HttpAnswer:  # fmt: skip
        self.asked.append((method, url, headers or {}))
        return HttpAnswer(200, {}, b"{}")

    async def lines(
        self, url: str, *, headers: Mapping[str, str] | None = None, tls: TlsOptions = NONE
    ) -> AsyncIterator[bytes]:
        self.asked.append(("WATCH", url, headers or {}))
        try:
            yield b"one"
            await asyncio.sleep(200)
            yield b"two"
            await asyncio.Event().wait()
        finally:
            self.closed = True

    async def close(self) -> None: ...


def test_a_token_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")

    async def main() -> None:
        http = Noting()
        transport = HttpTransport(Access("https://c", token=FileToken(file)), http)
        await transport.request("GET", "/a b", query={"x": "y&z"})
        (tmp_path / "fresh").write_text("second\n")
        (tmp_path / "fresh").rename(file)
        await transport.request("GET", "/")
        file.unlink()  # in the middle of being replaced: what was read last is as good as any
        await transport.request("GET", "/")
        assert [headers["Authorization"] for _, _, headers in http.asked] == [
            "Bearer first", "Bearer second", "Bearer second",
        ]  # fmt: skip
        assert http.asked[0][1] == "https://c/a%20b?x=y%26z"

    run(main())


def test_a_stream_that_is_silent_for_too_long_has_ended() -> None:
    async def main() -> None:
        http, loop = Noting(), asyncio.get_running_loop()
        transport = HttpTransport(Access("https://c"), http)
        heard = [(line, loop.time()) async for line in transport.stream("/w")]
        assert heard == [(b"one", 0.0), (b"two", 200.0)]
        assert loop.time() == 500.0
        assert http.closed

    run(main())


# ---- kubeconfigs


def config(cluster: object, user: object, context: Mapping[str, str] | None = None) -> str:
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "contexts": [{"name": "y", "context": {}},
                     {"name": "x", "context": {"cluster": "c", "user": "u", **(context or {})}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    })  # fmt: skip


def written(folder: Path, text: str) -> Path:
    (folder / "config").write_text(text)
    return folder / "config"


def text64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_kubeconfig_of_files_is_read_from_its_own_folder(tmp_path: Path) -> None:
    for name in ("ca", "crt", "key", "token"):
        (tmp_path / name).write_text(f"the {name}")
    access = from_kubeconfig(written(tmp_path, config(
        {"server": "https://h:1/prefix/", "certificate-authority": "ca", "tls-server-name": "n"},
        {"client-certificate": "crt", "client-key": "key", "tokenFile": "token", "token": "other"},
        {"namespace": "edge"},
    )))  # fmt: skip
    assert (access.url, access.ca_pem, access.server_name) == ("https://h:1/prefix", b"the ca", "n")
    assert (access.client_certificate, access.client_key) == (tmp_path / "crt", tmp_path / "key")
    assert (access.token(), access.namespace) == ("the token", "edge")


def test_data_counts_more_than_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the key")
    access = from_kubeconfig(written(tmp_path, config(
        {"server": "https://h", "certificate-authority-data": text64("CA"),
         "certificate-authority": "none"},
        {"client-certificate-data": text64("CRT"), "client-key": "key", "token": "t"},
    )))  # fmt: skip
    assert (access.ca_pem, access.client_pem, access.token()) == (b"CA", b"CRT\nthe key", "t")
    assert access.client_certificate is None


def test_nothing_secret_is_sent_to_a_server_without_tls(tmp_path: Path) -> None:
    text = config({"server": "http://127.0.0.1:8001"}, {"token": "t"})
    access = from_kubeconfig(written(tmp_path, text))
    assert (access.url, access.token()) == ("http://127.0.0.1:8001", "")
