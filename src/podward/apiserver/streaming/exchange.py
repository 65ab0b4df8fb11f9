"""What a command and its client say to each other, whatever carries it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Protocol

import msgspec

from podward.api.errors import status_error
from podward.client.node_access import ExecSession, NodeAccessError

STDIN, STDOUT, STDERR, OUTCOME, RESIZE = range(5)
CHANNELS: Final = {
    "stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": OUTCOME, "resize": RESIZE,
}  # fmt: skip
"""Their names where a channel has one (SPDY)."""

_Cells = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_log = logging.getLogger(__name__)


class _Size(msgspec.Struct, rename="pascal"):
    width: _Cells
    height: _Cells


class Client(Protocol):
    """The other end, whatever carries its channels."""

    def input(self) -> AsyncIterator[tuple[int, bytes | None]]:
        """What it says on stdin and resize; None at the end of stdin. Ends when the client is gone."""

    async def send(self, channel: int, data: bytes) -> None:
        """On stdout or stderr."""

    async def finish(self, ending: dict[str, Any]) -> None:
        """Tells the outcome, a `Status`, and that this was all."""


async def exchange(session: ExecSession, client: Client) -> None:
    """Until the command has ended and its outcome is told, or the client is gone."""
    listening = asyncio.ensure_future(_listen(session, client))
    talking = asyncio.ensure_future(_talk(session, client))
    try:
        await asyncio.wait((listening, talking), return_when=asyncio.FIRST_COMPLETED)
        if talking.done():  # else the client is gone, and the command with it
            await talking
    finally:
        for task in (listening, talking):
            task.cancel()
        await asyncio.gather(listening, talking, return_exceptions=True)


async def _talk(session: ExecSession, client: Client) -> None:
    try:
        async for channel, data in session.output():
            await client.send(channel, data)
        ending = outcome(await session.wait())
    except NodeAccessError as error:
        ending = interrupted(str(error))
    except Exception as error:
        # The upgrade is done: the outcome is the only place left to say it.
        _log.exception("a command ended without an exit code")
        ending = interrupted(str(error))
    await client.finish(ending)


async def _listen(session: ExecSession, client: Client) -> None:
    async for channel, data in client.input():
        if channel == RESIZE:
            await _resize(session, data or b"")
        elif data is None:
            await session.close_stdin()
        else:
            await session.write(data)


async def _resize(session: ExecSession, data: bytes) -> None:
    try:
        size = msgspec.json.decode(data, type=_Size)
    except msgspec.DecodeError:
        return  # a size that cannot be read is no reason to end a command
    await session.resize(size.width, size.height)


def interrupted(reason: str) -> dict[str, Any]:
    """The `Status` of a command whose end nobody knows."""
    status = status_error(500, "InternalError", f"Internal error occurred: {reason}").status
    told: dict[str, Any] = msgspec.to_builtins(status)
    return told


def outcome(code: int) -> dict[str, Any]:
    """The `Status` that tells the client how the command ended."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
