"""`test`, `[` and `[[`."""

import fnmatch
from collections.abc import Callable

from podward.simulate.files import absolute
from podward.simulate.processes import Process


class TestProblem(ValueError):
    """No condition."""

    __test__ = False  # pytest would collect it by its name


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise TestProblem(f"{text}: integer expression expected") from None


_BINARY: dict[str, Callable[[str, str], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "-eq": lambda a, b: _integer(a) == _integer(b),
    "-ne": lambda a, b: _integer(a) != _integer(b),
    "-lt": lambda a, b: _integer(a) < _integer(b),
    "-le": lambda a, b: _integer(a) <= _integer(b),
    "-gt": lambda a, b: _integer(a) > _integer(b),
    "-ge": lambda a, b: _integer(a) >= _integer(b),
}
_UNARY = ("-e", "-f", "-d", "-r", "-w", "-x", "-s", "-L", "-h", "-p", "-S", "-b", "-c", "-n", "-z")


def holds(words: list[str], process: Process, *, patterns: bool = False) -> bool:
    """`-o` and `||` bind loosest, then `-a` and `&&`, then `!`."""
    reader = _Reader(list(words), process, patterns)
    if not words:
        return False
    value = reader.either()
    if reader.rest:
        raise TestProblem(f"{reader.rest[0]}: unexpected operator")
    return value


class _Reader:
    def __init__(self, rest: list[str], process: Process, patterns: bool) -> None:
        self.rest = rest
        self._process = process
        self._patterns = patterns

    def either(self) -> bool:
        value = self._both()
        while self.rest[:1] in (["-o"], ["||"]):
            self.rest.pop(0)
            value = self._both() or value
        return value

    def _both(self) -> bool:
        value = self._one()
        while self.rest[:1] in (["-a"], ["&&"]):
            self.rest.pop(0)
            value = self._one() and value
        return value

    def _one(self) -> bool:
        if not self.rest:
            raise TestProblem("argument expected")
        rest = self.rest
        if rest[0] == "!" and len(rest) > 1:
            rest.pop(0)
            return not self._one()
        if rest[0] == "(" and len(rest) > 2:
            rest.pop(0)
            value = self.either()
            if rest[:1] != [")"]:
                raise TestProblem("closing paren expected")
            rest.pop(0)
            return value
        if len(rest) > 2 and rest[1] in _BINARY:
            left, operator, right = rest[:3]
            del rest[:3]
            if self._patterns and operator in ("=", "==", "!="):
                return fnmatch.fnmatchcase(left, right) is (operator != "!=")
            return _BINARY[operator](left, right)
        if rest[0] in _UNARY and len(rest) > 1:
            operator, word = rest[:2]
            del rest[:2]
            return self._unary(operator, word)
        return rest.pop(0) != ""

    def _unary(self, operator: str, word: str) -> bool:
        if operator in ("-n", "-z"):
            return bool(word) is (operator == "-n")
        path = absolute(word, self._process.cwd)
        files = self._process.files
        kind = files.kind(path) if word else None
        match operator:
            case "-f":
                return kind == "file"
            case "-d":
                return kind == "directory"
            case "-s":
                return kind == "directory" or (kind == "file" and bool(files.read(path)))
            case "-L" | "-h" | "-p" | "-S" | "-b" | "-c":
                return False
        return kind is not None


async def test(process: Process) -> int:
    words = process.argv[1:]
    if process.argv[0] == "[":
        if words[-1:] != ["]"]:
            process.stderr.write(b"[: missing ]\n")
            return 2
        words.pop()
    try:
        return int(not holds(words, process))
    except TestProblem as error:
        process.stderr.write(f"{process.argv[0]}: {error}\n".encode())
        return 2
