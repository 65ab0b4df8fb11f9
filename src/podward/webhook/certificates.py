"""What the webhook serves with, and how a newer certificate takes the place of one that is in use.

`LiveContext` is the heart of it: the server is given one context for good, and every handshake is handed on to
the context of the newest certificate. A certificate is thus replaced at one moment, between two handshakes;
connections that stand are not touched. (`load_cert_chain` on the context in use would do nearly the same. But
it throws the old key away before it finds that the new one does not fit, and when the kind of key changes it
keeps both certificates, of which a client may be shown the old.)
"""

import asyncio
import logging
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from podward.machinery.certificates import Pair, facts_of, is_pair
from podward.machinery.clock import Clock

POLL_SECONDS = 10.0
"""How often mounted files are looked at; the kubelet itself takes up to minutes to put new ones there."""
NEVER = datetime.fromtimestamp(0, UTC)

log = logging.getLogger(__name__)


class ServingCertificate(Protocol):
    async def start(self) -> ssl.SSLContext:
        """Returns when a certificate is loaded. The context stays the same when there is a newer one."""

    async def run(self) -> None:
        """Keeps it fresh until cancelled; to be called after `start`."""

    @property
    def not_after(self) -> datetime:
        """When the certificate in use ends; 1970 if there is none yet."""


class LiveContext:
    """A server's context whose certificate can be replaced under it."""

    def __init__(self) -> None:
        self.context = _server_context()
        self.context.sni_callback = self._hand_on
        self.not_after = NEVER
        self._newest: ssl.SSLContext | None = None
        self._served: Pair | None = None

    @property
    def served(self) -> Pair | None:
        return self._served

    def serve(self, pair: Pair) -> None:
        """From the next handshake on. Raises `ValueError` if it cannot be served: then the last one stays."""
        facts = facts_of(pair.certificate)
        if facts is None or not is_pair(pair):
            raise ValueError("the certificate and the key do not fit together")
        fresh = _server_context()
        try:
            _load(fresh, pair)
        except ssl.SSLError as error:
            raise ValueError(f"the certificate cannot be served: {error}") from error
        self._newest, self._served, self.not_after = fresh, pair, facts.not_after

    def _hand_on(
        self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext
    ) -> None:
        """Called in every handshake, whether the client names the server or not."""
        if self._newest is not None:
            connection.context = self._newest


class FileCertificate:
    """A certificate and a key in two files that somebody else replaces: cert-manager, or an operator."""

    def __init__(self, certificate: Path, key: Path, clock: Clock) -> None:
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self._live = LiveContext()
        self._seen: Pair | None = None
        """What was looked at last, taken or not."""
        self._complaint = ""

    @property
    def not_after(self) -> datetime:
        return self._live.not_after

    async def start(self) -> ssl.SSLContext:
        while not self._look():  # noqa: ASYNC110  # nobody tells of files that change
            await asyncio.sleep(POLL_SECONDS)
        return self._live.context

    async def run(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._look()

    def _look(self) -> bool:
        """Take what is new and whole; True if anything is served.

        A mounted Secret is replaced by turning a link, between our two reads perhaps: so contents are compared,
        and of two files that do not fit together neither is taken.
        """
        try:
            found = Pair(self._certificate.read_bytes(), self._key.read_bytes())
        except OSError as error:
            self._complain(f"cannot read {error.filename}: {error.strerror}")
            return self._live.served is not None
        if found != self._seen:
            self._seen = found
            try:
                self._live.serve(found)
            except ValueError as error:
                self._complain(f"{self._certificate} and {self._key} are not served: {error}")
            else:
                self._complaint = ""
                self._say_what_is_served()
        return self._live.served is not None

    def _say_what_is_served(self) -> None:
        ends = f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}"
        if self.not_after <= self._clock.now():
            log.warning("%s has ended at %s", self._certificate, ends)
        else:
            log.info("serving %s, which ends at %s", self._certificate, ends)

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            log.warning("%s", text)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, pair: Pair) -> None:
    """Python reads certificates from files only: this one is in memory, so that no disk ever has the key."""
    descriptor = os.memfd_create("certificate")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(pair.certificate + b"\n" + pair.key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
