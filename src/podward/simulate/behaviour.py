"""Reads what the simulator does not know: files that describe commands and images (docs/simulate.md).

Whatever is not understood is refused, with its path in the file: a field with a mistake in its name would
otherwise be a behaviour that nobody sees missing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from podward.kubelet.runtime.process.images import normalize
from podward.machinery.quantity import QuantityError, parse_quantity
from podward.probes.health_messages import ServingStatus
from podward.simulate.answers import Behaviour, Ends, Image, Listens, OverTime, Span
from podward.simulate.described import program
from podward.simulate.reading import (
    DescriptionError,
    any_object,
    documents,
    fields,
    listed,
    number,
    scalar,
    seconds,
    truth,
)
from podward.simulate.world import World

T = TypeVar("T")


def load(paths: Sequence[Path]) -> Callable[[World], None]:
    """What teaches a world the commands and images that the files describe; a later file wins."""
    behaviours: dict[str, Behaviour] = {}
    images: dict[str, Image] = {}
    for path in paths:
        for document in documents(path):
            held = fields(document, ("commands", "images"), str(path))
            for name, value, where in _entries(held, "commands", f"{path}: "):
                behaviours[name] = _behaviour(value, where)
            for name, value, where in _entries(held, "images", f"{path}: "):
                images[normalize(name)] = _image(value, where)

    def prepare(world: World) -> None:
        world.programs |= {name: program(behaviour) for name, behaviour in behaviours.items()}
        world.images |= images

    return prepare


# ---- the objects

Where = str
"""The path of a value, for the words of a refusal."""


def _behaviour(value: Any, where: Where) -> Behaviour:
    held = fields(value, ("starts", "listens", "exits", "term", "prints", "memory"), where)
    term = held.get("term", {"code": 143})
    return Behaviour(
        starts=seconds(held.get("starts", 0), f"{where}.starts"),
        listens=_all_listens(held.get("listens", []), f"{where}.listens"),
        exits=_ends(held["exits"], f"{where}.exits") if "exits" in held else None,
        term=None if term == "ignored" else _ends(term, f"{where}.term"),
        prints=str(scalar(held.get("prints", ""), f"{where}.prints")),
        out_of_memory_after=(
            _memory(held["memory"], f"{where}.memory") if "memory" in held else None
        ),
    )


def _all_listens(value: Any, where: Where) -> tuple[Listens, ...]:
    listens = [_listens(one, f"{where}[{i}]") for i, one in enumerate(listed(value, where))]
    for i, one in enumerate(listens):
        for j, other in enumerate(listens[:i]):
            both = max(one.begin, other.begin) < min(one.end or math.inf, other.end or math.inf)
            if one.port == other.port and both:
                raise DescriptionError(
                    f"{where}[{i}]: port {one.port} is still that of listens[{j}]: "
                    "give them different `from` and `to`"
                )
    return tuple(listens)


def _listens(value: Any, where: Where) -> Listens:
    held = fields(value, ("port", "from", "to", "answers", "grpc", "delay", "hangs", "tls"), where)
    hangs = truth(held.get("hangs", False), f"{where}.hangs")
    said = [name for name in ("answers", "grpc") if name in held] + ["hangs"] * hangs
    if len(said) > 1:
        raise DescriptionError(f"{where}: {said[0]!r} and {said[1]!r} exclude each other")
    if "delay" in held and said not in (["answers"], ["grpc"]):
        raise DescriptionError(f"{where}.delay: there are no 'answers' and no 'grpc' to delay")
    for path in any_object(held.get("answers", {}), f"{where}.answers"):
        if not path.startswith("/"):
            raise DescriptionError(f"{where}.answers: {path!r} is no path, which begins with '/'")
    begin, end = _begin_and_end(held, where)
    return Listens(
        port=number(held.get("port"), f"{where}.port", 1, 65535),
        begin=begin,
        end=end,
        answers=_over_time(held.get("answers", {}), f"{where}.answers", _http_status),
        grpc=(
            _over_time(held["grpc"], f"{where}.grpc", _serving_status) if "grpc" in held else None
        ),
        delay=seconds(held.get("delay", 0), f"{where}.delay"),
        hangs=hangs,
        tls=truth(held.get("tls", False), f"{where}.tls"),
    )


def _over_time(
    value: Any, where: Where, read: Callable[[Any, Where], T]
) -> Mapping[str, OverTime[T]]:
    """Under each name a value for ever, or a list of spans that each have a `status`."""
    out: dict[str, OverTime[T]] = {}
    for name, described in any_object(value, where).items():
        at = f"{where}.{name}" if name else f'{where}.""'
        if not isinstance(described, list):
            out[name] = OverTime((Span(read(described, at)),))
            continue
        spans = []
        for i, one in enumerate(described):
            held = fields(one, ("from", "to", "status"), f"{at}[{i}]")
            begin, end = _begin_and_end(held, f"{at}[{i}]")
            spans.append(Span(read(held.get("status"), f"{at}[{i}].status"), begin, end))
        out[name] = OverTime(tuple(spans))
    return out


def _begin_and_end(held: Mapping[str, Any], where: Where) -> tuple[float, float | None]:
    begin = seconds(held.get("from", 0), f"{where}.from")
    end = seconds(held["to"], f"{where}.to") if "to" in held else None
    if end is not None and end <= begin:
        raise DescriptionError(f"{where}.to: must come after `from`")
    return begin, end


def _ends(value: Any, where: Where) -> Ends:
    held = fields(value, ("code", "after"), where)
    code = number(held.get("code", 0), f"{where}.code", 0, 255)
    return Ends(code, seconds(held.get("after", 0), f"{where}.after"))


def _memory(value: Any, where: Where) -> float:
    """Seconds until the limit is reached."""
    held = fields(value, ("grows", "every", "limit"), where)
    grows, limit = (_bytes(held.get(name), f"{where}.{name}") for name in ("grows", "limit"))
    return limit / grows * seconds(held.get("every", 1), f"{where}.every")


def _image(value: Any, where: Where) -> Image:
    held = fields(value, ("command", "args", "missing", "pull"), where)
    missing = truth(held.get("missing", False), f"{where}.missing")
    if missing and not held.keys() <= {"missing", "pull"}:
        raise DescriptionError(f"{where}: an image that is missing runs nothing")
    command, args = (
        tuple(
            str(scalar(word, f"{where}.{name}[{i}]"))
            for i, word in enumerate(listed(held.get(name, []), f"{where}.{name}"))
        )
        for name in ("command", "args")
    )
    pull = seconds(held["pull"], f"{where}.pull") if "pull" in held else None
    return Image(command, args, missing, pull)


# ---- the values


def _bytes(value: Any, where: Where) -> float:
    try:
        amount = float(parse_quantity(str(value)))
    except QuantityError:
        amount = 0.0
    if amount <= 0:
        raise DescriptionError(f"{where}: {value!r} is no amount of memory (128Mi)")
    return amount


def _http_status(value: Any, where: Where) -> int:
    return number(value, where, 200, 599)


def _serving_status(value: Any, where: Where) -> ServingStatus:
    if not isinstance(value, str) or value not in ServingStatus.__members__:
        names = ", ".join(ServingStatus.__members__)
        raise DescriptionError(f"{where}: {value!r} is no status; known: {names}")
    return ServingStatus[value]


def _entries(held: Mapping[str, Any], name: str, prefix: str) -> list[tuple[str, Any, Where]]:
    entries = any_object(held.get(name, {}), f"{prefix}{name}")
    return [(key, value, f"{prefix}{name}.{key}") for key, value in entries.items()]
