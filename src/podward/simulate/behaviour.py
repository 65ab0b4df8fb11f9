"""What commands do that the simulator does not know: a small file of descriptions.

commands:
  my-server:
    starts: 3s                      # until then nothing listens
    listens:
    - port: 8080
      from: 0s                      # after `starts`
      to: 60s                       # then it refuses connections
      answers: {/healthz: 200, /ready: 503}
    exits: {code: 1, after: 90s}    # by itself; without it, it runs until it is told to end
    term: {code: 0, after: 2s}      # what SIGTERM does; `ignored` if it does nothing
    prints: "listening"
    memory: {grows: 10Mi, every: 1s, limit: 128Mi}   # OOMKilled when the limit is reached
"""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from podward.machinery.quantity import QuantityError, parse_quantity
from podward.simulate.commands.network import http_answer, read_head
from podward.simulate.commands.system import for_ever
from podward.simulate.ports import Stream
from podward.simulate.processes import Process, Program
from podward.simulate.reading import DescriptionError, documents, fields, only_field, seconds
from podward.simulate.world import World


@dataclass(frozen=True, slots=True)
class Listens:
    port: int
    begin: float = 0.0
    end: float | None = None
    answers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ends:
    code: int
    after: float


@dataclass(frozen=True, slots=True)
class Behaviour:
    starts: float = 0.0
    listens: tuple[Listens, ...] = ()
    exits: Ends | None = None
    term: Ends | None = Ends(143, 0.0)
    """None: ignored."""
    prints: str = ""
    out_of_memory_after: float | None = None


def load(paths: Sequence[Path]) -> Callable[[World], None]:
    """What teaches a world the commands that the files describe."""
    behaviours: dict[str, Behaviour] = {}
    for path in paths:
        for document in documents(path):
            described = only_field(document, "commands", str(path))
            if not isinstance(described, dict):
                raise DescriptionError(f"{path}: commands: expected an object")
            for name, one in described.items():
                behaviours[name] = _behaviour(one, f"{path}: commands.{name}")

    def prepare(world: World) -> None:
        world.programs |= {name: program(behaviour) for name, behaviour in behaviours.items()}

    return prepare


def program(behaviour: Behaviour) -> Program:
    async def run(process: Process) -> int:
        tasks = [asyncio.ensure_future(_until_term(process, behaviour.term))]
        tasks.append(asyncio.ensure_future(_life(process, behaviour)))
        if behaviour.out_of_memory_after is not None:
            tasks.append(asyncio.ensure_future(_grow(behaviour.out_of_memory_after)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code = next(task for task in tasks if task in done).result()
            if len(tasks) == 3 and tasks[2] in done:
                process.group.out_of_memory = True
            return code
        finally:
            for task in tasks:
                task.cancel()

    return run


async def _life(process: Process, behaviour: Behaviour) -> int:
    await asyncio.sleep(behaviour.starts)
    if behaviour.prints:
        process.stdout.write(f"{behaviour.prints}\n".encode())
    servers = [asyncio.ensure_future(_listen(process, one)) for one in behaviour.listens]
    try:
        if behaviour.exits is None:
            await for_ever()
            return 0
        await asyncio.sleep(behaviour.exits.after)
        return behaviour.exits.code
    finally:
        for server in servers:
            server.cancel()


async def _listen(process: Process, listens: Listens) -> None:
    async def serve(stream: Stream) -> None:
        head = await read_head(stream)
        words = head.split(b"\r\n")[0].decode(errors="replace").split(" ")
        if len(words) > 1 and listens.answers:
            code = listens.answers.get(urlsplit(words[1]).path, 404)
            stream.write(http_answer(code, b""))

    await asyncio.sleep(listens.begin)
    group = process.group
    listener = group.network.listen(group.address, listens.port, serve)
    try:
        if listens.end is None:
            await for_ever()
        else:
            await asyncio.sleep(listens.end - listens.begin)
    finally:
        group.network.close(listener)


async def _until_term(process: Process, term: Ends | None) -> int:
    if term is None:
        await for_ever()
    process.handlers[signal.SIGTERM] = "described"
    await process.signalled.wait()
    assert term is not None
    await asyncio.sleep(term.after)
    return term.code


async def _grow(after: float) -> int:
    await asyncio.sleep(after)
    return 128 + signal.SIGKILL


# ---- reading

_FIELDS = ("starts", "listens", "exits", "term", "prints", "memory")


def _behaviour(value: Any, where: str) -> Behaviour:
    value = fields(value, _FIELDS, where)
    term = value.get("term", {"code": 143})
    return Behaviour(
        starts=seconds(value.get("starts", 0), f"{where}.starts"),
        listens=tuple(
            _listens(one, f"{where}.listens[{i}]")
            for i, one in enumerate(value.get("listens") or ())
        ),
        exits=_ends(value["exits"], f"{where}.exits") if "exits" in value else None,
        term=None if term == "ignored" else _ends(term, f"{where}.term"),
        prints=str(value.get("prints", "")),
        out_of_memory_after=_memory(value["memory"], f"{where}.memory")
        if "memory" in value
        else None,
    )


def _listens(value: Any, where: str) -> Listens:
    if not isinstance(value, dict) or not isinstance(value.get("port"), int):
        raise DescriptionError(f"{where}: expected an object with a port")
    answers = value.get("answers") or {}
    if not isinstance(answers, dict) or not all(isinstance(c, int) for c in answers.values()):
        raise DescriptionError(f"{where}.answers: expected path: status")
    end = seconds(value["to"], f"{where}.to") if "to" in value else None
    return Listens(value["port"], seconds(value.get("from", 0), f"{where}.from"), end, answers)


def _ends(value: Any, where: str) -> Ends:
    if not isinstance(value, dict) or not isinstance(value.get("code", 0), int):
        raise DescriptionError(f"{where}: expected {{code: N, after: 5s}}")
    return Ends(value.get("code", 0), seconds(value.get("after", 0), f"{where}.after"))


def _memory(value: Any, where: str) -> float:
    """Seconds until the limit is reached."""
    try:
        grows, limit = (float(parse_quantity(str(value[name]))) for name in ("grows", "limit"))
    except (KeyError, TypeError, QuantityError):
        raise DescriptionError(
            f"{where}: expected {{grows: 10Mi, every: 1s, limit: 128Mi}}"
        ) from None
    return limit / grows * seconds(value.get("every", 1), f"{where}.every")
