"""YAML as kubectl prints it: keys sorted, lists not indented, texts with line breaks as blocks."""

from typing import Any

import yaml

from podward.api.yaml_loader import reads_as_text

_TEXT = "tag:yaml.org,2002:str"


class _Dumper(yaml.CSafeDumper):
    pass


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    if "\n" in text:
        return dumper.represent_scalar(_TEXT, text, style="|")
    plain = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False)) == _TEXT  # type: ignore[no-untyped-call]
    ambiguous = not (plain and reads_as_text(text))
    return dumper.represent_scalar(_TEXT, text, style='"' if ambiguous else None)


_Dumper.add_representer(str, _text)


def to_yaml(document: Any) -> str:
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=2**31 - 1
    )
    return text
