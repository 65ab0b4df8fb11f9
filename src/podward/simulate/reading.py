"""What the simulator's own little files have in common: documents, durations, errors that name the place."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from podward.api.yaml_loader import ManifestError, load_all

_DURATION = re.compile(r"^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$")


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
    if not isinstance(value, dict):
        raise DescriptionError(f"{where}: expected an object")
    unknown = set(value) - set(known)
    if unknown:
        first = sorted(map(str, unknown))[0]
        raise DescriptionError(f"{where}: unknown field {first!r}; known: {', '.join(known)}")
    return value


def seconds(value: Any, where: str) -> float:
    """A duration: a number of seconds, or text like `90s`, `5m`, `1h30m`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _DURATION.match(str(value))
    if match is None or not str(value):
        raise DescriptionError(f"{where}: {value!r} is no duration (90s, 5m, 1h30m)")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest
