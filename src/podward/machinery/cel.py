"""CEL expressions: read once, evaluated often. Pure.

The language is `common-expression-language`'s (Rust); beside it there are those of Kubernetes' string
functions that can be said in a line. What is not there (optional fields, quantities, URLs) is refused when an
expression is read, not when it is first needed. The library's Python package brings a command line, 0.18 s of
imports: only the extension inside it is loaded, in 6 ms, and that when the first expression is read.
"""

import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import cel as library

_LENGTH_LIMIT: Final = 2048
"""Characters. The library walks an expression recursively: 20,000 links of a chain were one fault too many."""

_BUILT_IN: Final = frozenset(
    [
        "size", "startsWith", "endsWith", "contains", "matches", "int", "uint", "double", "string",
        "bytes", "type", "dyn", "timestamp", "duration", "getFullYear", "getMonth", "getDate",
        "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds",
        "getMilliseconds",
    ]
)  # fmt: skip
_OWN: Final[Mapping[str, Callable[..., Any]]] = {
    "lowerAscii": lambda text: text.lower(),
    "upperAscii": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "join": lambda texts, separator="": separator.join(texts),
    "replace": lambda text, old, new: text.replace(old, new),
}
_COMPREHENSION: Final = re.compile(
    r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)"
)


class CelError(ValueError):
    """The expression cannot be read, or has no value for these variables. The text says why."""


class Expression:
    def __init__(self, source: str, program: "library.Program") -> None:
        self.source = source
        self._program = program
        self._context = _library().Context()
        for name in set(program.functions()) & _OWN.keys():
            self._context.add_function(name, _OWN[name])
        self._variables = frozenset(program.variables())

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Its value; `variables` are plain documents. Raises `CelError`."""
        try:
            for name in self._variables & variables.keys():
                self._context.add_variable(name, variables[name])
            return self._program.execute(self._context)
        except KeyError as error:
            raise CelError(f"no such key: {error.args[0]}") from None
        except Exception as error:
            # The library explains at length; its first sentence is the error.
            raise CelError(_first_line(error).partition(". ")[0]) from None


def compile_expression(source: str, variables: Collection[str]) -> Expression:
    """Raises `CelError` for what cannot be read, and for names that are neither known nor in `variables`."""
    if len(source) > _LENGTH_LIMIT:
        raise CelError(f"longer than {_LENGTH_LIMIT} characters")
    try:
        program = _library().compile(source)
    except Exception as error:
        raise CelError(_first_line(error).partition("ERROR: ")[2] or _first_line(error)) from None
    known = {*variables, *_COMPREHENSION.findall(source)}
    for name in program.variables():
        if name not in known:
            raise CelError(f"undeclared reference to '{name}'")
    for name in program.functions():
        if name.isidentifier() and name not in _BUILT_IN and name not in _OWN:
            raise CelError(f"undeclared reference to '{name}'")
    return Expression(source, program)


def _first_line(error: Exception) -> str:
    text = str(error)
    marker = text.find("ERROR: ")
    return text[max(marker, 0) :].partition("\n")[0]


@cache
def _library() -> Any:
    package = importlib.util.find_spec("cel")
    assert package is not None, "common-expression-language is a dependency of ours"
    assert package.origin is not None
    if "cel" in sys.modules:
        return sys.modules["cel"]
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        file = Path(package.origin).with_name(f"cel{suffix}")
        if file.exists():
            spec = importlib.util.spec_from_file_location("cel", file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return importlib.import_module("cel")
