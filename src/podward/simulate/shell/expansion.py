"""Words to fields: parameters, substitutions, splitting, file names (POSIX XCU 2.6)."""

import posixpath
from typing import TYPE_CHECKING

from podward.simulate.files import absolute
from podward.simulate.shell import patterns
from podward.simulate.shell.arithmetic import ArithmeticProblem, calculate
from podward.simulate.shell.syntax import (
    Arithmetic,
    Parameter,
    Part,
    ShellSyntaxError,
    Substitution,
    Text,
    Word,
)

if TYPE_CHECKING:
    from podward.simulate.shell.interpreter import Shell

_DEFAULT_IFS = " \t\n"


class Fields:
    """What one word comes to, as it is put together: patterns, so that what was quoted matches itself."""

    def __init__(self, ifs: str) -> None:
        self._blanks = "".join(c for c in ifs if c in _DEFAULT_IFS)
        self._ifs = ifs
        self.done: list[str] = []
        self._current: str | None = None
        self._after_blank = False
        """A field has just ended at a blank: a delimiter right after it ends nothing more."""

    def add(self, text: str, *, quoted: bool) -> None:
        self._current = (self._current or "") + (patterns.escaped(text) if quoted else text)
        self._after_blank = False

    def end(self) -> None:
        if self._current is not None:
            self.done.append(self._current)
            self._current = None

    def split(self, text: str) -> None:
        """What an expansion came to, unquoted."""
        for char in text:
            if char not in self._ifs:
                self._current = (self._current or "") + ("\\\\" if char == "\\" else char)
                self._after_blank = False
            elif char in self._blanks:
                self._after_blank = self._after_blank or self._current is not None
                self.end()
            elif self._current is not None:
                self.end()
            elif self._after_blank:
                self._after_blank = False
            else:
                self.done.append("")


async def fields(shell: "Shell", word: Word) -> list[str]:
    """What the word comes to: fields are split, patterns become file names."""
    out = Fields(_ifs(shell))
    for index, part in enumerate(word):
        await _add(shell, out, part, first=index == 0)
    out.end()
    found: list[str] = []
    for pattern in out.done:
        if not shell.options["noglob"] and patterns.is_pattern(pattern):
            found += _file_names(shell, pattern) or [patterns.unescaped(pattern)]
        else:
            found.append(patterns.unescaped(pattern))
    return found


def _ifs(shell: "Shell") -> str:
    return shell.variables.get("IFS", _DEFAULT_IFS)


async def _add(
    shell: "Shell", out: Fields, part: Part, *, first: bool, expanded: bool = False
) -> None:
    """`expanded`: the part is within an expansion, so that its bare text is split as well."""
    if isinstance(part, Text):
        if part.quoted:
            out.add(part.text, quoted=True)
        elif expanded:
            out.split(part.text)
        else:
            out.add(_home(shell, part.text) if first else part.text, quoted=False)
        return
    if isinstance(part, Parameter):
        chosen = await _chosen(shell, part)
        if chosen is not None:
            if part.quoted:
                out.add("", quoted=True)
            for below in chosen:
                await _add(shell, out, below, first=False, expanded=not part.quoted)
            return
        if part.name in "@*" and not part.length and part.operator in ("", "-", ":-", "+", ":+"):
            _add_arguments(shell, out, part)
            return
    text = await part_text(shell, part)
    if part.quoted:
        out.add(text, quoted=True)
    else:
        out.split(text)


def _add_arguments(shell: "Shell", out: Fields, part: Parameter) -> None:
    if part.quoted and part.name == "*":
        out.add(_joined(shell), quoted=True)
        return
    for index, value in enumerate(shell.arguments):
        if index:
            out.end()
        if part.quoted:
            out.add(value, quoted=True)
        else:
            out.split(value)


def _joined(shell: "Shell") -> str:
    """`"$*"`: with the first character of IFS between."""
    return _ifs(shell)[:1].join(shell.arguments)


async def _chosen(shell: "Shell", part: Parameter) -> Word | None:
    """The argument of `${x:-word}` or `${x:+word}`, if it is what the expansion comes to."""
    operator = part.operator
    if operator[-1:] not in ("-", "+"):
        return None
    missing = is_missing(shell, part)
    if operator[-1] == "+":
        return () if missing else part.argument
    return part.argument if missing else None


def is_missing(shell: "Shell", part: Parameter) -> bool:
    value = shell.value(part.name)
    if part.name in "@*" and not shell.arguments:
        value = None
    return value is None or (part.operator.startswith(":") and value == "")


def _home(shell: "Shell", text: str) -> str:
    if text == "~" or text.startswith("~/"):
        return shell.variables.get("HOME", "~") + text[1:]
    return text


async def text(shell: "Shell", word: Word) -> str:
    """The word as one text: no splitting, no file names."""
    out = ""
    for index, part in enumerate(word):
        if index == 0 and isinstance(part, Text) and not part.quoted:
            out += _home(shell, part.text)
        else:
            out += await part_text(shell, part)
    return out


async def pattern(shell: "Shell", word: Word) -> str:
    """For `case` and `${x#pattern}`: quoted parts match themselves only."""
    out = ""
    for part in word:
        found = await part_text(shell, part)
        out += patterns.escaped(found) if part.quoted else found
    return out


async def part_text(shell: "Shell", part: Part) -> str:
    match part:
        case Text():
            return part.text
        case Parameter():
            return await _parameter(shell, part)
        case Arithmetic():
            expression = await text(shell, part.parts)
            try:
                return str(calculate(expression, shell.value, shell.assign))
            except ArithmeticProblem as error:
                raise shell.failure(str(error)) from None
        case Substitution():
            return await shell.substitute(part.body)


async def _parameter(shell: "Shell", part: Parameter) -> str:
    name, operator = part.name, part.operator
    value = _joined(shell) if name == "*" else shell.value(name)
    if operator[-1:] in ("-", "=", "?", "+"):
        return await _conditional(shell, part, value)
    if value is None and shell.options["nounset"] and name not in "@*":
        raise shell.failure(f"{name}: parameter not set")
    value = value or ""
    if part.length:
        return str(len(shell.arguments) if name in "@*" else len(value))
    match operator:
        case "":
            return value
        case "#" | "##" | "%" | "%%":
            return patterns.trimmed(value, operator, await pattern(shell, part.argument))
        case "/" | "//":
            return patterns.replaced(
                value,
                await pattern(shell, part.argument),
                await text(shell, part.second),
                everywhere=operator == "//",
            )
        case ":":
            return await _substring(shell, part, value)
    raise ShellSyntaxError(f"the simulator's shell does not know ${{{name}{operator}}}")


async def _conditional(shell: "Shell", part: Parameter, value: str | None) -> str:
    missing = is_missing(shell, part)
    match part.operator[-1]:
        case "-":
            return await text(shell, part.argument) if missing else value or ""
        case "+":
            return "" if missing else await text(shell, part.argument)
        case "=":
            if missing:
                value = await text(shell, part.argument)
                shell.assign(part.name, value)
            return value or ""
    if missing:
        default = "parameter null or not set" if ":" in part.operator else "parameter not set"
        why = await text(shell, part.argument) or default
        raise shell.failure(f"{part.name}: {why}")
    return value or ""


async def _substring(shell: "Shell", part: Parameter, value: str) -> str:
    numbers = []
    for word in (part.argument, part.second):
        found = await text(shell, word)
        try:
            numbers.append(calculate(found, shell.value, shell.assign) if word else None)
        except ArithmeticProblem as error:
            raise shell.failure(str(error)) from None
    begin, length = numbers[0] or 0, numbers[1]
    if begin < 0:
        begin += len(value)
        if begin < 0:
            return ""
    if length is None:
        return value[begin:]
    return value[begin : begin + length] if length >= 0 else value[begin : len(value) + length]


def _file_names(shell: "Shell", pattern_: str) -> list[str]:
    files, cwd = shell.process.files, shell.process.cwd
    found = ["/"] if pattern_.startswith("/") else [""]
    pieces = [piece for piece in pattern_.split("/") if piece]
    for index, piece in enumerate(pieces):
        onward = []
        last = index == len(pieces) - 1
        for base in found:
            folder = absolute(base or ".", cwd)
            if files.kind(folder) != "directory":
                continue
            if not patterns.is_pattern(piece):
                names = [patterns.unescaped(piece)]
                names = [n for n in names if _exists(shell, posixpath.join(folder, n))]
            else:
                names = [
                    n
                    for n in [*([".", ".."] if piece.startswith(".") else []), *files.names(folder)]
                    if (not n.startswith(".") or piece.startswith("."))
                    and patterns.matches(n, piece)
                ]
            onward += [posixpath.join(base, name) for name in names]
        if not last or pattern_.endswith("/"):
            onward = [n for n in onward if files.kind(absolute(n, cwd)) == "directory"]
        found = onward
    end = "/" if pattern_.endswith("/") else ""
    return sorted(name + end for name in found)


def _exists(shell: "Shell", path: str) -> bool:
    return shell.process.files.stat(absolute(path, "/"), follow=False) is not None
