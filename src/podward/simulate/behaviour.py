"""Reads what the simulator does not know: files that describe commands and images (docs/simulate.md).

Whatever is not understood is refused, with its path in the file: a field with a mistake in its name would
otherwise be a behaviour that nobody sees missing.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from podward.api.yaml_loader import ManifestError, load_all
from podward.kubelet.runtime.process.images import normalize
from podward.machinery.quantity import QuantityError, parse_quantity
from podward.probes.health_messages import ServingStatus
from podward.simulate.answers import Behaviour, Ends, Image, Listens, OverTime, Span
from podward.simulate.described import program
from podward.simulate.world import World

T = TypeVar("T")


class BehaviourError(ValueError):
    """The file says something that is no behaviour."""


def load(paths: Sequence[Path]) -> Callable[[World], None]:
    """What teaches a world the commands and images that the files describe; a later file wins."""
    behaviours: dict[str, Behaviour] = {}
    images: dict[str, Image] = {}
    for path in paths:
        try:
            documents = load_all(path.read_bytes())
        except OSError as error:
            raise BehaviourError(f"{path}: {error.strerror}") from None
        except ManifestError as error:
            raise BehaviourError(f"{path}: {error}") from None
        for document in documents:
            fields = _object(document, str(path), "commands", "images")
            for name, value, where in _entries(fields, "commands", f"{path}: "):
                behaviours[name] = _behaviour(value, where)
            for name, value, where in _entries(fields, "images", f"{path}: "):
                images[normalize(name)] = _image(value, where)

    def prepare(world: World) -> None:
        world.programs |= {name: program(behaviour) for name, behaviour in behaviours.items()}
        world.images |= images

    return prepare


# ---- the objects

Where = str
"""The path of a value, for the words of a refusal."""


def _behaviour(value: Any, where: Where) -> Behaviour:
    fields = _object(value, where, "starts", "listens", "exits", "term", "prints", "memory")
    term = fields.get("term", {"code": 143})
    return Behaviour(
        starts=_seconds(fields.get("starts", 0), f"{where}.starts"),
        listens=_all_listens(fields.get("listens", []), f"{where}.listens"),
        exits=_ends(fields["exits"], f"{where}.exits") if "exits" in fields else None,
        term=None if term == "ignored" else _ends(term, f"{where}.term"),
        prints=str(_scalar(fields.get("prints", ""), f"{where}.prints")),
        out_of_memory_after=(
            _memory(fields["memory"], f"{where}.memory") if "memory" in fields else None
        ),
    )


def _all_listens(value: Any, where: Where) -> tuple[Listens, ...]:
    listens = [_listens(one, f"{where}[{i}]") for i, one in enumerate(_list(value, where))]
    for i, one in enumerate(listens):
        for j, other in enumerate(listens[:i]):
            both = max(one.begin, other.begin) < min(one.end or math.inf, other.end or math.inf)
            if one.port == other.port and both:
                raise BehaviourError(
                    f"{where}[{i}]: port {one.port} is still that of listens[{j}]: "
                    "give them different `from` and `to`"
                )
    return tuple(listens)


def _listens(value: Any, where: Where) -> Listens:
    fields = _object(value, where, "port", "from", "to", "answers", "grpc", "delay", "hangs", "tls")
    hangs = _truth(fields.get("hangs", False), f"{where}.hangs")
    said = [name for name in ("answers", "grpc") if name in fields] + ["hangs"] * hangs
    if len(said) > 1:
        raise BehaviourError(f"{where}: {said[0]!r} and {said[1]!r} exclude each other")
    if "delay" in fields and said not in (["answers"], ["grpc"]):
        raise BehaviourError(f"{where}.delay: there are no 'answers' and no 'grpc' to delay")
    for path in _any_object(fields.get("answers", {}), f"{where}.answers"):
        if not path.startswith("/"):
            raise BehaviourError(f"{where}.answers: {path!r} is no path, which begins with '/'")
    begin, end = _begin_and_end(fields, where)
    return Listens(
        port=_number(fields.get("port"), f"{where}.port", 1, 65535),
        begin=begin,
        end=end,
        answers=_over_time(fields.get("answers", {}), f"{where}.answers", _http_status),
        grpc=(
            _over_time(fields["grpc"], f"{where}.grpc", _serving_status)
            if "grpc" in fields
            else None
        ),
        delay=_seconds(fields.get("delay", 0), f"{where}.delay"),
        hangs=hangs,
        tls=_truth(fields.get("tls", False), f"{where}.tls"),
    )


def _over_time(
    value: Any, where: Where, read: Callable[[Any, Where], T]
) -> Mapping[str, OverTime[T]]:
    """Under each name a value for ever, or a list of spans that each have a `status`."""
    out: dict[str, OverTime[T]] = {}
    for name, described in _any_object(value, where).items():
        at = f"{where}.{name}" if name else f'{where}.""'
        if not isinstance(described, list):
            out[name] = OverTime((Span(read(described, at)),))
            continue
        spans = []
        for i, one in enumerate(described):
            fields = _object(one, f"{at}[{i}]", "from", "to", "status")
            begin, end = _begin_and_end(fields, f"{at}[{i}]")
            spans.append(Span(read(fields.get("status"), f"{at}[{i}].status"), begin, end))
        out[name] = OverTime(tuple(spans))
    return out


def _begin_and_end(fields: Mapping[str, Any], where: Where) -> tuple[float, float | None]:
    begin = _seconds(fields.get("from", 0), f"{where}.from")
    end = _seconds(fields["to"], f"{where}.to") if "to" in fields else None
    if end is not None and end <= begin:
        raise BehaviourError(f"{where}.to: must come after `from`")
    return begin, end


def _ends(value: Any, where: Where) -> Ends:
    fields = _object(value, where, "code", "after")
    code = _number(fields.get("code", 0), f"{where}.code", 0, 255)
    return Ends(code, _seconds(fields.get("after", 0), f"{where}.after"))


def _memory(value: Any, where: Where) -> float:
    """Seconds until the limit is reached."""
    fields = _object(value, where, "grows", "every", "limit")
    grows, limit = (_bytes(fields.get(name), f"{where}.{name}") for name in ("grows", "limit"))
    return limit / grows * _seconds(fields.get("every", 1), f"{where}.every")


def _image(value: Any, where: Where) -> Image:
    fields = _object(value, where, "command", "args", "missing", "pull")
    missing = _truth(fields.get("missing", False), f"{where}.missing")
    if missing and not fields.keys() <= {"missing", "pull"}:
        raise BehaviourError(f"{where}: an image that is missing runs nothing")
    command, args = (
        tuple(
            str(_scalar(word, f"{where}.{name}[{i}]"))
            for i, word in enumerate(_list(fields.get(name, []), f"{where}.{name}"))
        )
        for name in ("command", "args")
    )
    pull = _seconds(fields["pull"], f"{where}.pull") if "pull" in fields else None
    return Image(command, args, missing, pull)


# ---- the values

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def _seconds(value: Any, where: Where) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise BehaviourError(f"{where}: {value!r} is no duration (90s, 5m, 1h30m, 200ms)")
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _bytes(value: Any, where: Where) -> float:
    try:
        amount = float(parse_quantity(str(value)))
    except QuantityError:
        amount = 0.0
    if amount <= 0:
        raise BehaviourError(f"{where}: {value!r} is no amount of memory (128Mi)")
    return amount


def _number(value: Any, where: Where, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BehaviourError(f"{where}: expected a number from {least} to {most}, not {value!r}")
    return value


def _http_status(value: Any, where: Where) -> int:
    return _number(value, where, 200, 599)


def _serving_status(value: Any, where: Where) -> ServingStatus:
    if not isinstance(value, str) or value not in ServingStatus.__members__:
        names = ", ".join(ServingStatus.__members__)
        raise BehaviourError(f"{where}: {value!r} is no status; known: {names}")
    return ServingStatus[value]


def _truth(value: Any, where: Where) -> bool:
    if not isinstance(value, bool):
        raise BehaviourError(f"{where}: expected true or false, not {value!r}")
    return value


def _scalar(value: Any, where: Where) -> Any:
    if isinstance(value, dict | list) or value is None:
        raise BehaviourError(f"{where}: expected a text")
    return value


def _list(value: Any, where: Where) -> list[Any]:
    if not isinstance(value, list):
        raise BehaviourError(f"{where}: expected a list")
    return value


def _any_object(value: Any, where: Where) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BehaviourError(f"{where}: expected an object")
    return value


def _object(value: Any, where: Where, *known: str) -> dict[str, Any]:
    unknown = sorted(set(_any_object(value, where)) - set(known))
    if unknown:
        raise BehaviourError(f"{where}: unknown field {unknown[0]!r}; known: {', '.join(known)}")
    return dict(value)


def _entries(fields: Mapping[str, Any], name: str, prefix: str) -> list[tuple[str, Any, Where]]:
    entries = _any_object(fields.get(name, {}), f"{prefix}{name}")
    return [(key, value, f"{prefix}{name}.{key}") for key, value in entries.items()]
