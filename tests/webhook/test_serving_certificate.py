"""What a handshake shows, and files that are followed."""

import asyncio
import logging
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.client.support import EPOCH

from podward.machinery.certificates import Pair, facts_of, make_authority, make_leaf
from podward.machinery.clock import LoopClock
from podward.simulate.virtual_loop import run
from podward.webhook.certificates import NEVER, POLL_SECONDS, FileCertificate, LiveContext

AUTHORITY = make_authority("ca", now=EPOCH)
NAME = "webhook.test.svc"
DAY = timedelta(days=1)


def leaf(life: timedelta = 30 * DAY) -> Pair:
    return make_leaf(AUTHORITY, "leaf", now=EPOCH, life=life, names=(NAME, "127.0.0.1"))


def rsa_leaf() -> Pair:
    """cert-manager may be told to change the kind of key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rsa")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, EPOCH, EPOCH + DAY)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(builder.sign(key, hashes.SHA256()).public_bytes(pem), private)


def shown(context: ssl.SSLContext, name: str | None, version: ssl.TLSVersion) -> bytes:
    """The certificate that a client of this version sees, PEM: a handshake without a socket."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    client_context.minimum_version = client_context.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return ssl.DER_cert_to_PEM_cert(der).encode()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", [NAME, None], ids=["named", "by address"])
def test_every_handshake_shows_the_newest_certificate(
    version: ssl.TLSVersion, name: str | None
) -> None:
    live = LiveContext()
    assert live.not_after == NEVER
    for pair in (leaf(), rsa_leaf(), leaf(), rsa_leaf()):
        live.serve(pair)
        assert shown(live.context, name, version) == pair.certificate
        facts = facts_of(pair.certificate)
        assert facts is not None
        assert live.not_after == facts.not_after


def test_what_cannot_be_served_leaves_what_is_served() -> None:
    live, good = LiveContext(), leaf()
    live.serve(good)
    with pytest.raises(ValueError, match="do not fit"):
        live.serve(Pair(leaf().certificate, good.key))
    assert live.served == good
    assert shown(live.context, NAME, ssl.TLSVersion.TLSv1_3) == good.certificate


def test_a_handshake_of_old_is_refused() -> None:
    assert LiveContext().context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_the_key_touches_no_disk_and_no_descriptor_stays(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    live = LiveContext()
    for _ in range(5):
        live.serve(leaf())
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


class Mounted:
    """A Secret's volume: a folder behind a link, which is turned as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0
        folder.mkdir()
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(Path("..data") / name)

    def put(self, pair: Pair) -> None:
        self._count += 1
        fresh = self.folder / f"..{self._count}"
        fresh.mkdir()
        (fresh / "tls.crt").write_bytes(pair.certificate)
        (fresh / "tls.key").write_bytes(pair.key)
        link = self.folder / "..data_tmp"
        link.symlink_to(fresh.name)
        link.rename(self.folder / "..data")

    def certificate(self) -> FileCertificate:
        return FileCertificate(self.folder / "tls.crt", self.folder / "tls.key", LoopClock(EPOCH))


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path / "tls")


def presented(context: ssl.SSLContext) -> bytes:
    return shown(context, NAME, ssl.TLSVersion.TLSv1_3)


def test_it_starts_when_the_files_are_there(
    mounted: Mounted, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> float:
        starting = asyncio.create_task(mounted.certificate().start())
        await asyncio.sleep(6 * POLL_SECONDS + 1)
        assert not starting.done()
        mounted.put(leaf())
        await starting
        return asyncio.get_running_loop().time()

    with caplog.at_level(logging.WARNING):
        assert run(scenario()) == 7 * POLL_SECONDS
    assert [record.message.split(": ")[-1] for record in caplog.records] == [
        "No such file or directory"
    ], "said once, not six times"


def test_a_turned_link_is_followed(mounted: Mounted) -> None:
    first, second = leaf(), leaf(60 * DAY)

    async def scenario() -> None:
        mounted.put(first)
        certificate = mounted.certificate()
        context = await certificate.start()
        running = asyncio.create_task(certificate.run())
        assert presented(context) == first.certificate
        assert certificate.not_after == EPOCH + 30 * DAY
        mounted.put(second)
        await asyncio.sleep(POLL_SECONDS + 1)
        assert presented(context) == second.certificate
        assert certificate.not_after == EPOCH + 60 * DAY
        running.cancel()

    run(scenario())


def test_of_a_half_written_pair_nothing_is_taken(
    mounted: Mounted, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = leaf(), leaf()

    async def scenario() -> None:
        mounted.put(first)
        certificate = mounted.certificate()
        context = await certificate.start()
        running = asyncio.create_task(certificate.run())
        for half in (
            Pair(second.certificate, first.key),
            Pair(second.certificate[:100], second.key),
            Pair(second.certificate, b""),
        ):
            mounted.put(half)
            await asyncio.sleep(5 * POLL_SECONDS)
            assert presented(context) == first.certificate
        mounted.put(second)
        await asyncio.sleep(POLL_SECONDS + 1)
        assert presented(context) == second.certificate
        running.cancel()

    with caplog.at_level(logging.WARNING):
        run(scenario())
    said = [record.message for record in caplog.records]
    assert len(said) == 1, "one trouble is told once"
    assert "do not fit together" in said[0]


def test_an_ended_certificate_is_served_and_complained_of(
    mounted: Mounted, caplog: pytest.LogCaptureFixture
) -> None:
    mounted.put(make_leaf(AUTHORITY, "old", now=EPOCH - 9 * DAY, life=DAY, names=(NAME,)))
    with caplog.at_level(logging.WARNING):
        run(mounted.certificate().start())
    assert "has ended" in caplog.text


def test_an_open_connection_survives_a_new_certificate() -> None:
    live = LiveContext()
    live.serve(leaf())
    ours, theirs = socket.socketpair()

    async def scenario() -> None:
        reader, writer = await _joined(live.context, ours, theirs)
        live.serve(rsa_leaf())
        writer.write(b"still here\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"still here\n"
        writer.close()

    asyncio.run(scenario())


async def _joined(
    context: ssl.SSLContext, ours: socket.socket, theirs: socket.socket
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    accepting = asyncio.create_task(loop.connect_accepted_socket(Echo, theirs, ssl=context))
    streams = await asyncio.open_connection(sock=ours, ssl=client, server_hostname=NAME)
    await accepting
    return streams
