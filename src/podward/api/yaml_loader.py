"""YAML as kubectl reads it, which is neither YAML 1.1 as PyYAML has it nor YAML 1.2.

Timestamps and `12:30:45` stay text; `y`, `yes`, `on` are true; `1e3` is a number and `0o644` octal; a name
given twice is an error (libs.md section 7, measured against kubectl).
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml


class ManifestError(ValueError):
    """A manifest that cannot be read; says where."""


class _Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  (PyYAML's own way to replace them)


DEPTH_LIMIT = 500
"""Lists and maps inside each other; no object of the API comes near."""
_BOOL = re.compile(
    r"^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"
)
_INT = re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
)

_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("yYnNtTfFoO"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^(?:<<)$"), ["<"])


def _construct_bool(loader: _Loader, node: yaml.ScalarNode) -> bool:
    return str(node.value).lower() in ("y", "yes", "true", "on")


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(node.value).replace("_", "")
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-")
    if len(text) > 1 and text[0] == "0" and text[1].isdigit():
        return sign * int(text, 8)
    return sign * int(text, 0)


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[dict[str, Any]]:
    result: dict[str, Any] = {}
    yield result
    loader.flatten_mapping(node)
    seen: set[Any] = set()
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            key = str(key_node.value)
        if key in seen:
            line = key_node.start_mark.line + 1
            raise ManifestError(f"yaml: line {line}: key {key!r} already set in map")
        seen.add(key)
        result[key] = loader.construct_object(value_node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:bool", _construct_bool)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def reads_as_text(text: str) -> bool:
    """Whether it comes back as the text that it is if it is written without quotes: `y`, `1e3` do not."""
    resolvers = _Loader.yaml_implicit_resolvers
    candidates = [*resolvers.get(text[:1], ()), *resolvers.get(None, ())]
    return not any(pattern.match(text) for _, pattern in candidates)


def load_all(text: bytes | str) -> list[Any]:
    """Every document that is not empty; JSON is YAML."""
    try:
        _require_shallow(text)
        return [d for d in yaml.load_all(text, Loader=_Loader) if d is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ManifestError(f"yaml: {where}{error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"yaml: {error}") from None


def _require_shallow(text: bytes | str) -> None:
    """libyaml composes by recursion in C: what is nested too deeply would end the process, not the parsing."""
    if len(text) <= 2 * DEPTH_LIMIT:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise ManifestError(f"yaml: line {line}: nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def load_one(text: bytes | str) -> Any:
    documents = load_all(text)
    if len(documents) != 1:
        raise ManifestError(f"expected one document, found {len(documents)}")
    return documents[0]
