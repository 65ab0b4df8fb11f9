"""`test`, `[` and `[[`."""

import re
from collections.abc import Callable

from podward.simulate.commands.text import regular
from podward.simulate.files import Stat, absolute
from podward.simulate.processes import Process
from podward.simulate.shell.patterns import matches


class TestProblem(ValueError):
    """No condition."""

    __test__ = False  # pytest would collect it by its name


def _integer(text: str) -> int:
    stripped = text.strip()
    if not stripped.lstrip("+-").isdigit():
        raise TestProblem(f"{text}: integer expression expected")
    return int(stripped)


_STRINGS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}
_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
}
_FILES = ("-nt", "-ot", "-ef")
_BINARY = ("=~", *_STRINGS, *_NUMBERS, *_FILES)
_UNARY = tuple(f"-{letter}" for letter in "efdrwxsLhpSbcnztugkOG")


def holds(words: list[str], process: Process, *, patterns: bool = False) -> bool:
    """POSIX decides by the number of words where it can, so that `[ -n = -n ]` compares; beyond that `-o` binds
    loosest, then `-a`, then `!`."""
    reader = _Reader(list(words), process, patterns)
    match words:
        case []:
            return False
        case [one]:
            return one != ""
        case ["!", one]:
            return one == ""
        case [left, operator, right] if operator in _BINARY:
            return reader.compare(left, operator, right)
        case ["!", left, operator, right] if operator in _BINARY:
            return not reader.compare(left, operator, right)
    value = reader.either()
    if reader.rest:
        raise TestProblem(f"{reader.rest[0]}: unknown operand")
    return value


class _Reader:
    def __init__(self, rest: list[str], process: Process, patterns: bool) -> None:
        self.rest = rest
        self._process = process
        self._patterns = patterns

    def either(self) -> bool:
        value = self._both()
        while self.rest[:1] == ["-o"]:
            self.rest.pop(0)
            value = self._both() or value
        return value

    def _both(self) -> bool:
        value = self._one()
        while self.rest[:1] == ["-a"]:
            self.rest.pop(0)
            value = self._one() and value
        return value

    def _one(self) -> bool:
        if not self.rest:
            raise TestProblem("argument expected")
        rest = self.rest
        if len(rest) > 2 and rest[1] in _BINARY:
            left, operator, right = rest[:3]
            del rest[:3]
            return self.compare(left, operator, right)
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
        if rest[0] in _UNARY and len(rest) > 1:
            operator, word = rest[:2]
            del rest[:2]
            return self._unary(operator, word)
        return rest.pop(0) != ""

    def compare(self, left: str, operator: str, right: str) -> bool:
        if operator == "=~":
            if not self._patterns:
                raise TestProblem("=~: unknown operand")
            return re.search(regular(right, extended=True), left) is not None
        if self._patterns and operator in ("=", "==", "!="):
            return matches(left, right) is (operator != "!=")
        if operator in _STRINGS:
            return _STRINGS[operator](left, right)
        if operator in _NUMBERS:
            return _NUMBERS[operator](_integer(left), _integer(right))
        ours, theirs = self._stat(left), self._stat(right)
        if ours is None or theirs is None:
            return False
        match operator:
            case "-nt":
                return ours.changed > theirs.changed
            case "-ot":
                return ours.changed < theirs.changed
        return ours.identity == theirs.identity

    def _stat(self, word: str, *, follow: bool = True) -> Stat | None:
        if not word:
            return None
        return self._process.files.stat(absolute(word, self._process.cwd), follow=follow)

    def _unary(self, operator: str, word: str) -> bool:
        match operator:
            case "-n":
                return word != ""
            case "-z":
                return word == ""
            case "-t":
                _integer(word)
                return False
            case "-L" | "-h":
                found = self._stat(word, follow=False)
                return found is not None and found.kind == "link"
        found = self._stat(word)
        if found is None:
            return False
        match operator:
            case "-f":
                return found.kind == "file"
            case "-d":
                return found.kind == "directory"
            case "-c":
                return found.kind == "device"
            case "-s":
                return found.size > 0
            case "-x":
                return bool(found.mode & 0o111)
            case "-p" | "-S" | "-b" | "-u" | "-g" | "-k":
                return False
        return True


async def test(process: Process) -> int:
    words = process.argv[1:]
    if process.name in ("[", "[["):
        if words[-1:] != ["]" if process.name == "[" else "]]"]:
            process.complain("[: missing ]")
            return 2
        words = words[:-1]
    try:
        return int(not holds(words, process))
    except TestProblem as error:
        process.complain(f"{process.name}: {error}")
        return 2
