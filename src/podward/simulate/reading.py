"""What the simulator's own little files have in common: documents, durations, errors that name the place."""

import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from podward.api.yaml_loader import ManifestError, load_all

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


class DescriptionError(ValueError):
    """The file says something that cannot be meant; the text begins with where."""


def documents(path: Path) -> Iterator[Any]:
    """The YAML documents of a file."""
    try:
        yield from load_all(path.read_bytes())
    except OSError as error:
        raise DescriptionError(f"{path}: {error.strerror}") from None
    except ManifestError as error:
        raise DescriptionError(f"{path}: {error}") from None


def only_field(value: Any, name: str, where: str) -> Any:
    """The value of the one field that an object may have."""
    if not isinstance(value, dict) or set(value) != {name}:
        raise DescriptionError(f"{where}: expected one field {name!r}")
    return value[name]


def fields(value: Any, known: Collection[str], where: str) -> dict[str, Any]:
    """An object that has no other fields than those."""
    unknown = set(any_object(value, where)) - set(known)
    if unknown:
        first = sorted(map(str, unknown))[0]
        raise DescriptionError(f"{where}: unknown field {first!r}; known: {', '.join(known)}")
    return dict(value)


def any_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DescriptionError(f"{where}: expected an object")
    return value


def listed(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DescriptionError(f"{where}: expected a list")
    return value


def number(value: Any, where: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DescriptionError(f"{where}: expected a number from {least} to {most}, not {value!r}")
    return value


def truth(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise DescriptionError(f"{where}: expected true or false, not {value!r}")
    return value


def scalar(value: Any, where: str) -> Any:
    if isinstance(value, dict | list) or value is None:
        raise DescriptionError(f"{where}: expected a text")
    return value


def seconds(value: Any, where: str) -> float:
    """A duration: a number of seconds, or text like `90s`, `5m`, `1h30m`, `200ms`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise DescriptionError(f"{where}: {value!r} is no duration (90s, 5m, 1h30m, 200ms)")
    hours, minutes, rest, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest + milliseconds / 1000
