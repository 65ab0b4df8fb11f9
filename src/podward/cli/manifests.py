"""Manifests from files, folders and standard input."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from podward.api.yaml_loader import ManifestError, load_all
from podward.cli.errors import CliError


def read(sources: Sequence[str]) -> list[dict[str, Any]]:
    """Every object, in order; `CliError` names the file that cannot be read."""
    found: list[dict[str, Any]] = []
    for source in sources:
        for name, text in _texts(source):
            try:
                documents = load_all(text)
            except ManifestError as error:
                raise CliError(
                    f"error: error parsing {name}: error converting YAML to JSON: {error}"
                ) from None
            for document in documents:
                found += _objects(document, name)
    if not found:
        raise CliError("error: no objects passed to apply")
    return found


def _objects(document: Any, name: str) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict):
        raise CliError(f"error: unable to decode {name!r}: it is not an object")
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item, name)
        return
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str) or not document[field]:
            raise CliError(f"error: error validating {name!r}: {field} not set")
    if not isinstance(document.get("metadata"), dict):
        raise CliError(f"error: error validating {name!r}: metadata not set")
    yield document


def _texts(source: str) -> Iterator[tuple[str, bytes]]:
    if source == "-":
        yield "STDIN", sys.stdin.buffer.read()
        return
    path = Path(source)
    try:
        if path.is_dir():
            for file in sorted(path.iterdir()):
                if file.suffix in (".yaml", ".yml", ".json"):
                    yield str(file), file.read_bytes()
        else:
            yield source, path.read_bytes()
    except FileNotFoundError:
        raise CliError(f'error: the path "{source}" does not exist') from None
    except OSError as error:
        raise CliError(f"error: cannot read {source}: {error.strerror}") from None
