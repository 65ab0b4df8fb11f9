"""A Pod before and after its presets, line by line, each new line with the preset that put it there. Pure."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from podward.admission.plugins.pod_preset.model import Decision
from podward.api.yaml_printer import to_yaml

Mark = Literal[" ", "+", "-"]
_WROTE = ("added", "replaced", "raised", "lowered")


@dataclass(frozen=True, slots=True)
class DiffLine:
    mark: Mark
    text: str
    preset: str = ""
    """`Preset.id` of what put the line there; empty if it is the author's."""


def diff_lines(before: Any, after: Any, decisions: Sequence[Decision]) -> list[DiffLine]:
    """Both as kubectl would print them."""
    old, new = _emit(before), _emit(after)
    origins = {d.path: d.preset for d in decisions if d.action in _WROTE}
    matcher = difflib.SequenceMatcher(
        None,
        [_undashed(text) for text, _ in old],
        [_undashed(text) for text, _ in new],
        autojunk=False,
    )
    found: list[DiffLine] = []
    for opcode, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if opcode == "equal":
            found += [DiffLine(" ", text) for text, _ in new[new_start:new_end]]
            continue
        found += [DiffLine("-", text) for text, _ in old[old_start:old_end]]
        found += [
            DiffLine("+", text, _origin(pointer, origins))
            for text, pointer in new[new_start:new_end]
        ]
    return found


def _undashed(line: str) -> str:
    """An item whose first key is another now has not changed for that."""
    return re.sub(r"^( *)- ", r"\1  ", line)


def _origin(pointer: str, origins: dict[str, str]) -> str:
    """Of the pointer, or of the nearest thing above it that a preset wrote."""
    while pointer:
        if pointer in origins:
            return origins[pointer]
        pointer = pointer.rpartition("/")[0]
    return ""


def _emit(document: Any) -> list[tuple[str, str]]:
    """(line of YAML, JSON pointer of what it shows): the pointers come from reading the text again."""
    text = to_yaml(document)
    pointers = [""] * text.count("\n")
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    assert root is not None, "what was printed is a document"
    _locate(root, "", pointers)
    return list(zip(text.split("\n"), pointers, strict=False))


def _locate(node: yaml.Node, pointer: str, pointers: list[str]) -> None:
    """Write `pointer` on the lines that `node` takes, and what is below it over that."""
    # A block ends where the next thing begins: its end mark is at the start of a line that is not its own.
    end = node.end_mark.line + (node.end_mark.column > 0)
    for line in range(node.start_mark.line, min(end, len(pointers))):
        pointers[line] = pointer
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = f"{pointer}/{_escaped(str(key.value))}"
            _locate(key, below, pointers)
            _locate(value, below, pointers)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _locate(item, f"{pointer}/{index}", pointers)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
