"""Programs that change lines on their way: `cut tr sort uniq sed awk` and their kin."""

import base64 as base64_library
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from podward.simulate.commands import options
from podward.simulate.commands.text import decoded, encoded, inputs, lines_of, regular
from podward.simulate.files import absolute
from podward.simulate.processes import CannotSimulate, Process, Program


async def _all(process: Process, names: list[str]) -> tuple[list[str], int]:
    """(the lines of all inputs without their ends, 1 if one could not be read)."""
    lines: list[str] = []
    code = 0
    async for _, data in inputs(process, names):
        if data is None:
            code = 1
        else:
            lines += [decoded(line).removesuffix("\n") for line in lines_of(data)]
    return lines, code


async def cut(process: Process) -> int:
    chosen = options.read(process, "sn", "dfcb")
    ranges = chosen.get("f") or chosen.get("c") or chosen.get("b")
    if ranges is None:
        process.complain("cut: expected a list of bytes, characters, or fields")
        return 1
    wanted = _ranges(process, ranges)
    delimiter = chosen.get("d", "\t")
    lines, code = await _all(process, chosen.names)
    for line in lines:
        if "f" not in chosen:
            process.write("".join(c for i, c in enumerate(line, 1) if wanted(i)) + "\n")
        elif delimiter in line:
            fields = line.split(delimiter)
            process.write(delimiter.join(f for i, f in enumerate(fields, 1) if wanted(i)) + "\n")
        elif "s" not in chosen:
            process.write(line + "\n")
    return code


def _ranges(process: Process, text: str) -> Callable[[int], bool]:
    found = []
    for piece in text.split(","):
        match = re.fullmatch(r"(\d*)(-?)(\d*)", piece)
        if match is None or not piece or piece == "-":
            raise options.unknown(process, piece)
        first = int(match[1] or 1)
        found.append((first, int(match[3] or 10**9) if match[2] else first))
    return lambda number: any(first <= number <= last for first, last in found)


async def tr(process: Process) -> int:
    chosen = options.read(process, "dscC")
    sets = [_characters(name) for name in chosen.names]
    data = decoded(await process.stdin.read_all())
    complement = bool(set(chosen) & set("cC"))
    first = set(sets[0])

    def within(char: str) -> bool:
        return (char in first) is not complement

    if "d" in chosen:
        data = "".join(c for c in data if not within(c))
        squeezed = set(sets[1]) if len(sets) > 1 else set()
    elif len(sets) > 1:
        second = sets[1].ljust(len(sets[0]), sets[1][-1:])
        mapping = {} if complement else dict(zip(sets[0], second, strict=False))
        data = "".join(
            mapping.get(c, sets[1][-1:] if complement and within(c) else c) for c in data
        )
        squeezed = set(sets[1])
    else:
        squeezed = {c for c in data if within(c)}
    if "s" in chosen:
        data = "".join(
            c for i, c in enumerate(data) if not (c in squeezed and i and data[i - 1] == c)
        )
    process.write(data)
    return 0


_TR_CLASSES = {"upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "lower": "abcdefghijklmnopqrstuvwxyz",
               "digit": "0123456789", "space": "\t\n\v\f\r ", "blank": "\t "}  # fmt: skip
_TR_CLASSES["alpha"] = _TR_CLASSES["upper"] + _TR_CLASSES["lower"]
_TR_CLASSES["alnum"] = _TR_CLASSES["digit"] + _TR_CLASSES["alpha"]
_TR_CLASSES["punct"] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def _characters(text: str) -> str:
    for name, members in _TR_CLASSES.items():
        text = text.replace(f"[:{name}:]", members)
    text = re.sub(r"\\([ntr\\]|[0-7]{1,3})", lambda m: {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}.get(
        m[1]) or chr(int(m[1], 8)), text)  # fmt: skip
    return re.sub(
        r"(.)-(.)", lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), text, flags=re.S
    )


async def sort(process: Process) -> int:
    chosen = options.read(process, "nrufbs", "kto")
    lines, code = await _all(process, chosen.names)
    key = _sort_key(process, chosen)
    lines.sort(key=lambda line: (key(line), "" if "s" in chosen or "u" in chosen else line),
               reverse="r" in chosen)  # fmt: skip
    if "u" in chosen:
        lines = [line for i, line in enumerate(lines) if not i or key(line) != key(lines[i - 1])]
    text = "".join(f"{line}\n" for line in lines)
    if "o" in chosen:
        process.files.write(absolute(chosen["o"], process.cwd), encoded(text))
    else:
        process.write(text)
    return code


def _sort_key(process: Process, chosen: options.Options) -> Callable[[str], tuple[float, str]]:
    match = re.fullmatch(r"(\d+)(?:,(\d+))?([nr]*)", chosen.get("k", "1"))
    if match is None:
        raise options.unknown(process, f"-k {chosen['k']}")
    if "r" in match[3]:
        chosen.add("r", "")
    numeric = "n" in chosen or "n" in match[3]
    first, last = int(match[1]) - 1, int(match[2]) if match[2] else None
    separator = chosen.get("t")

    def key(line: str) -> tuple[float, str]:
        if "k" in chosen:
            fields = line.split(separator) if separator else re.findall(r"\s*\S+", line)
            line = (separator or "").join(fields[first:last])
        if numeric:
            number = re.match(r"\s*(-?\d+(?:\.\d*)?)", line)
            return (float(number[1]) if number else 0.0), ""
        return 0.0, line.lower() if "f" in chosen else line

    return key


async def uniq(process: Process) -> int:
    chosen = options.read(process, "cdui")
    lines, code = await _all(process, chosen.names[:1])
    groups: list[tuple[str, int]] = []
    for line in lines:
        same = groups and (
            line.lower() == groups[-1][0].lower() if "i" in chosen else line == groups[-1][0]
        )
        if same:
            groups[-1] = (groups[-1][0], groups[-1][1] + 1)
        else:
            groups.append((line, 1))
    for line, count in groups:
        if ("d" in chosen and count == 1) or ("u" in chosen and count > 1):
            continue
        process.write((f"{count:7d} " if "c" in chosen else "") + f"{line}\n")
    return code


async def tac(process: Process) -> int:
    lines, code = await _all(process, options.read(process).names)
    process.write("".join(f"{line}\n" for line in reversed(lines)))
    return code


async def rev(process: Process) -> int:
    lines, code = await _all(process, options.read(process).names)
    process.write("".join(f"{line[::-1]}\n" for line in lines))
    return code


async def tee(process: Process) -> int:
    chosen = options.read(process, "ai")
    data = await process.stdin.read_all()
    process.stdout.write(data)
    code = 0
    for name in chosen.names:
        try:
            process.files.write(absolute(name, process.cwd), data, append="a" in chosen)
        except OSError as error:
            process.complain(f"tee: {name}: {error.strerror}")
            code = 1
    return code


async def checksum(process: Process) -> int:
    chosen = options.read(process, "c")
    if "c" in chosen:
        raise options.unknown(process, "-c")
    code = 0
    async for name, data in inputs(process, chosen.names):
        if data is None:
            code = 1
            continue
        digest = hashlib.new(process.name.removesuffix("sum"), data).hexdigest()
        process.write(f"{digest}  {name}\n")
    return code


async def base64(process: Process) -> int:
    chosen = options.read(process, "d", "w")
    code = 0
    async for _, data in inputs(process, chosen.names):
        if data is None:
            code = 1
        elif "d" in chosen:
            process.stdout.write(base64_library.b64decode(data))
        else:
            text, width = base64_library.b64encode(data).decode(), int(chosen.get("w", "76"))
            pieces = [text[i : i + width] for i in range(0, len(text), width)] if width else [text]
            process.write("\n".join(pieces) + ("\n" if width else ""))
    return code


# ---- sed


@dataclass(frozen=True, slots=True)
class _Address:
    line: int | None = None
    """0: the last line."""
    expression: re.Pattern[str] | None = None

    def at(self, number: int, text: str, *, last: bool) -> bool:
        if self.expression is not None:
            return self.expression.search(text) is not None
        return last if self.line == 0 else number == self.line


@dataclass(slots=True)
class _Command:
    first: _Address | None
    last: _Address | None
    negated: bool
    name: str
    expression: re.Pattern[str] | None = None
    text: str = ""
    flags: str = ""
    within: bool = False
    """Between the first address and the last."""

    def holds(self, number: int, text: str, *, last: bool) -> bool:
        return self._in_range(number, text, last=last) is not self.negated

    def _in_range(self, number: int, text: str, *, last: bool) -> bool:
        if self.first is None:
            return True
        if self.last is None:
            return self.first.at(number, text, last=last)
        if self.within:
            self.within = not self.last.at(number, text, last=last) and (
                self.last.line is None or self.last.line == 0 or number < self.last.line
            )
            return True
        starts = self.first.at(number, text, last=last)
        ends_here = bool(self.last.line) and (self.last.line or 0) <= number
        self.within = starts and not ends_here
        return starts


async def sed(process: Process) -> int:
    """The commands `s d p q =` with line, `$` and `/regular expression/` addresses; anything else is told."""
    chosen = options.read(process, "nrEis", "ef", {"quiet": "n", "expression": "e"})
    if "f" in chosen:
        raise options.unknown(process, "-f")
    scripts = [value for letter, value in chosen.every if letter == "e"]
    scripts = scripts or [chosen.names.pop(0) if chosen.names else ""]
    extended = bool(set(chosen) & set("rE"))
    commands = [c for script in scripts for c in _SedReader(script, extended, process).read()]
    in_place = "i" in chosen
    code = 0
    lines: list[bytes] = []
    async for name, data in inputs(process, chosen.names):
        if data is None:
            code = 1
        elif in_place:
            out = _sed_lines(commands, lines_of(data), quiet="n" in chosen)
            process.files.write(absolute(name, process.cwd), encoded(out))
        else:
            lines += lines_of(data)
    if not in_place:
        process.write(_sed_lines(commands, lines, quiet="n" in chosen))
    return code


def _sed_lines(commands: list[_Command], lines: list[bytes], *, quiet: bool) -> str:
    out = ""
    for number, raw in enumerate(lines, 1):
        line = decoded(raw)
        text, end = line.removesuffix("\n"), line[len(line.removesuffix("\n")) :]
        last = number == len(lines)
        shown, stop = not quiet, False
        for command in commands:
            if not command.holds(number, text, last=last):
                continue
            if command.name == "s":
                text, changed = _substituted(command, text)
                if changed and "p" in command.flags:
                    out += text + "\n"
            elif command.name == "p":
                out += text + (end or "\n")
            elif command.name == "=":
                out += f"{number}\n"
            elif command.name == "d":
                shown = False
                break
            elif command.name == "q":
                stop = True
                break
        if shown:
            out += text + end
        if stop:
            break
    return out


def _substituted(command: _Command, text: str) -> tuple[str, bool]:
    assert command.expression is not None
    nth = re.sub(r"\D", "", command.flags)
    count = 0

    def one(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        wanted = not nth or count == int(nth) or ("g" in command.flags and count > int(nth))
        return _filled(command.text, match) if wanted else match[0]

    everywhere = "g" in command.flags or nth
    new = command.expression.sub(one, text, count=0 if everywhere else 1)
    return new, count >= int(nth or 1)


def _filled(template: str, match: re.Match[str]) -> str:
    def one(found: re.Match[str]) -> str:
        code = found[0]
        if code == "&":
            return match[0]
        if code[1].isdigit():
            return match[int(code[1])] or ""
        return {"n": "\n", "t": "\t"}.get(code[1], code[1])

    return re.sub(r"\\(?:.|\n)|&", one, template)


class _SedReader:
    def __init__(self, text: str, extended: bool, process: Process) -> None:
        self._text = text
        self._extended = extended
        self._process = process

    def _refuse(self) -> CannotSimulate:
        return options.unknown(self._process, self._text)

    def read(self) -> list[_Command]:
        commands = []
        while self._text.strip(" \t\n;"):
            self._text = self._text.lstrip(" \t\n;")
            commands.append(self._command())
        return commands

    def _command(self) -> _Command:
        first = self._address()
        last = None
        if first is not None and self._text.startswith(","):
            self._text = self._text[1:].lstrip()
            last = self._address()
            if last is None:
                raise self._refuse()
        self._text = self._text.lstrip()
        negated = self._text.startswith("!")
        self._text = self._text.removeprefix("!").lstrip()
        name, self._text = self._text[:1], self._text[1:]
        command = _Command(first, last, negated, name)
        if name == "s":
            delimiter = self._text[:1]
            pattern, replacement = self._until(delimiter, start=1), self._until(delimiter)
            flags = re.match(r"[gpiI0-9]*", self._text)
            assert flags is not None
            self._text = self._text[flags.end() :]
            command.expression = self._expression(pattern, re.I if "i" in flags[0].lower() else 0)
            command.text, command.flags = replacement, flags[0]
        elif name not in ("d", "p", "q", "="):
            raise self._refuse()
        if self._text.strip(" \t") and self._text.strip(" \t")[0] not in ";\n":
            raise self._refuse()
        return command

    def _address(self) -> _Address | None:
        if number := re.match(r"\d+", self._text):
            self._text = self._text[number.end() :]
            return _Address(int(number[0]))
        if self._text.startswith("$"):
            self._text = self._text[1:]
            return _Address(0)
        if self._text.startswith("/"):
            return _Address(None, self._expression(self._until("/", start=1), 0))
        return None

    def _until(self, delimiter: str, *, start: int = 0) -> str:
        """Up to `delimiter`, which a backslash makes a plain character."""
        out, position = "", start
        while position < len(self._text):
            char = self._text[position]
            if char == delimiter:
                self._text = self._text[position + 1 :]
                return out
            if char == "\\" and self._text[position + 1 : position + 2] == delimiter:
                out += delimiter
                position += 2
                continue
            if char == "\\":
                out += self._text[position : position + 2]
                position += 2
                continue
            out += char
            position += 1
        raise self._refuse()

    def _expression(self, pattern: str, flags: int) -> re.Pattern[str]:
        try:
            return re.compile(regular(pattern, extended=self._extended), flags)
        except re.error:
            raise self._refuse() from None


# ---- awk

_AWK_ITEM = re.compile(r'\$(NF|\d+)|(NR|NF)|"((?:[^"\\]|\\.)*)"')
_AWK_PROGRAM = re.compile(
    r"\s*(?:/(?P<re>(?:[^/\\]|\\.)*)/|NR\s*(?P<op>==|>|<|>=|<=|!=)\s*(?P<nr>\d+))?\s*"
    r"(?:\{\s*print\s*(?P<print>[^{};|>]*?)\s*;?\s*\})?\s*"
)


async def awk(process: Process) -> int:
    """`[/expression/ or NR==1] {print $1, "text", $NF, NR}`, and `-F`; any other program is told."""
    chosen = options.read(process, "", "F", leading=True)
    script, *names = chosen.names or [""]
    match = _AWK_PROGRAM.fullmatch(script)
    if match is None or not script.strip():
        raise options.unknown(process, script)
    shown = _awk_items(process, script, match["print"] or "")
    expression = re.compile(regular(match["re"], extended=True)) if match["re"] else None
    lines, code = await _all(process, names)
    for number, line in enumerate(lines, 1):
        if expression is not None and not expression.search(line):
            continue
        if match["op"] and not _compared(number, match["op"], int(match["nr"])):
            continue
        fields = _awk_fields(line, chosen.get("F", " "))
        process.write(" ".join("".join(_awk_value(i, line, fields, number) for i in item)
                               for item in shown) + "\n")  # fmt: skip
    return code if not code else 2


def _compared(a: int, operator: str, b: int) -> bool:
    return {"==": a == b, "!=": a != b, "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[
        operator
    ]


def _awk_items(process: Process, script: str, text: str) -> list[list[re.Match[str]]]:
    """What `print` prints: by commas, each what stands side by side. Nothing: the line."""
    found: list[list[re.Match[str]]] = [[]]
    position = 0
    text = text or "$0"
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] == ",":
            found.append([])
            position += 1
        elif item := _AWK_ITEM.match(text, position):
            found[-1].append(item)
            position = item.end()
        else:
            raise options.unknown(process, script)
    return found


def _awk_fields(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    if not line:
        return []
    return line.split(separator) if len(separator) == 1 else re.split(separator, line)


def _awk_value(item: re.Match[str], line: str, fields: list[str], number: int) -> str:
    if item[3] is not None:
        return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), item[3])
    if item[2]:
        return str(number if item[2] == "NR" else len(fields))
    position = len(fields) if item[1] == "NF" else int(item[1])
    if position == 0:
        return line
    return fields[position - 1] if position <= len(fields) else ""


PROGRAMS: dict[str, Program] = {
    "cut": cut, "tr": tr, "sort": sort, "uniq": uniq, "tac": tac, "rev": rev, "tee": tee, "sed": sed,
    "awk": awk, "md5sum": checksum, "sha1sum": checksum, "sha256sum": checksum, "sha512sum": checksum,
    "base64": base64,
}  # fmt: skip
