"""Programs that write text, show files and look for lines."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from podward.simulate.commands import options
from podward.simulate.commands.options import Options
from podward.simulate.files import absolute
from podward.simulate.processes import CannotSimulate, Endless, Pipe, Process, Program

_SIMPLE_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "\\": "\\",
}


def encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def decoded(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def echoed(words: list[str]) -> bytes:
    """As busybox's `echo`: `-n`, `-e`, `-E` and nothing else."""
    newline, escapes = True, False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        newline = newline and "n" not in words[0]
        for letter in words[0][1:]:
            escapes = {"e": True, "E": False}.get(letter, escapes)
        words = words[1:]
    text = " ".join(words)
    if escapes:
        text, stopped = unescaped(text)
        newline = newline and not stopped
    return encoded(text) + (b"\n" if newline else b"")


def unescaped(text: str, *, octal: str = r"0?[0-7]{1,3}") -> tuple[str, bool]:
    r"""(the text, whether `\c` ended it)."""
    before, stop, _ = text.partition("\\c") if r"\\c" not in text else (text, "", "")

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if code in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[code]
        if code == "e":
            return "\x1b"
        value = int(code[1:], 16) if code[0] == "x" else int(code, 8) & 255
        return decoded(bytes([value]))

    return re.sub(r"\\([ntrabfve\\]|x[0-9a-fA-F]{1,2}|" + octal + ")", plain, before), bool(stop)


class BadFormat(ValueError):
    """`printf` could not do all: what it wrote nevertheless, and its exit code."""

    def __init__(self, text: str, output: bytes = b"", code: int = 1) -> None:
        super().__init__(text)
        self.output = output
        self.code = code


_DIRECTIVE = re.compile(r"%([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d+))?([a-zA-Z%])")


def formatted(words: list[str]) -> bytes:
    """`printf`: the format is used again while arguments are left."""
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        raise BadFormat("printf: usage: printf FORMAT [ARG]...", code=2)
    return _Format(words[0], words[1:]).run()


class _Format:
    def __init__(self, pattern: str, arguments: list[str]) -> None:
        self._pattern, self._stopped = unescaped(pattern, octal=r"[0-7]{1,3}")
        self._arguments = arguments
        self._problem = ""

    def run(self) -> bytes:
        out = ""
        while True:
            before = len(self._arguments)
            out += self._once()
            if not self._arguments or len(self._arguments) == before or self._stopped:
                break
        if self._problem:
            raise BadFormat(self._problem, encoded(out))
        return encoded(out)

    def _once(self) -> str:
        out, position = "", 0
        for match in _DIRECTIVE.finditer(self._pattern):
            out += self._pattern[position : match.start()]
            position = match.end()
            out += self._directive(match)
            if self._stopped:
                return out
        return out + self._pattern[position:]

    def _argument(self) -> str:
        return self._arguments.pop(0) if self._arguments else ""

    def _directive(self, match: re.Match[str]) -> str:
        flags, kind = match[1], match[4]
        if kind == "%":
            return "%"
        width, precision = (str(self._number(self._argument())) if m == "*" else m
                            for m in (match[2], match[3]))  # fmt: skip
        shape = f"%{flags}{width or ''}" + (f".{precision}" if precision is not None else "")
        argument = self._argument()
        if kind in "diouxX":
            return f"{shape}{'d' if kind in 'iu' else kind}" % self._number(argument)
        if kind in "feEgG":
            return f"{shape}{kind}" % self._float(argument)
        if kind == "c":
            return f"{shape}s" % argument[:1]
        if kind == "b":
            text, self._stopped = unescaped(argument)
            return f"{shape}s" % text
        if kind == "s":
            return f"{shape}s" % argument
        raise BadFormat(f"printf: %{kind}: invalid format")

    def _number(self, text: str) -> int:
        if text[:1] in ("'", '"'):
            return ord(text[1:2] or "\0")
        try:
            stripped = text.strip()
            octal = re.fullmatch(r"[-+]?0\d+", stripped)
            return int(stripped or "0", 8 if octal else 0)
        except ValueError:
            self._problem = f"printf: invalid number '{text}'"
            return 0

    def _float(self, text: str) -> float:
        try:
            return float(text or 0)
        except ValueError:
            self._problem = f"printf: invalid number '{text}'"
            return 0.0


async def echo(process: Process) -> int:
    process.stdout.write(echoed(process.argv[1:]))
    return 0


async def printf(process: Process) -> int:
    try:
        process.stdout.write(formatted(process.argv[1:]))
    except BadFormat as error:
        process.stdout.write(error.output)
        process.complain(str(error))
        return error.code
    return 0


async def yes(process: Process) -> int:
    """For ever, or until what reads it has enough."""
    line = encoded(" ".join(process.argv[1:] or ["y"]) + "\n")
    while True:
        process.group.count_step(lambda: " ".join(process.argv), 20)
        process.stdout.write(line * 100)
        await process.drained()


# ---- input


def _special(process: Process, name: str) -> Pipe | None:
    if name in ("-", "/dev/stdin"):
        return process.stdin
    return Endless() if name in ("/dev/zero", "/dev/urandom", "/dev/random") else None


async def inputs(
    process: Process, names: list[str], verb: str = "can't open '{}': {}"
) -> AsyncIterator[tuple[str, bytes | None]]:
    """(name, contents) of each file, `-` or none being standard input."""
    for name in names or ["-"]:
        yield name, await contents(process, name, verb)


async def contents(process: Process, name: str, verb: str = "can't open '{}': {}") -> bytes | None:
    """Of one file, `-` being standard input; None if it cannot be read, which has then been told."""
    pipe = _special(process, name)
    if pipe is not None:
        return await pipe.read_all()
    try:
        return process.files.read(absolute(name, process.cwd))
    except OSError as error:
        process.complain(f"{process.name}: {verb.format(name, error.strerror)}")
        return None


def lines_of(data: bytes) -> list[bytes]:
    return (
        data.splitlines(keepends=True)
        if b"\r" not in data
        else re.findall(rb"[^\n]*\n|[^\n]+", data)
    )


async def cat(process: Process) -> int:
    """Shows what it can; 1 if something could not be read."""
    chosen = options.read(process, "neuvtAETs")
    if not chosen.keys() <= {"n", "e", "u"}:
        raise options.unknown(process, "-" + "".join(chosen))
    code, number = 0, 0
    by_line = "n" in chosen or "e" in chosen
    for name in chosen.names or ["-"]:
        pipe = _special(process, name)
        if pipe is not None and not by_line:
            while data := await pipe.read():
                endless = isinstance(pipe, Endless)
                process.group.count_step(lambda: " ".join(process.argv), 100 if endless else 1)
                process.stdout.write(data)
                if endless or pipe.full:
                    await process.drained()
            continue
        found = await contents(process, name)
        code = code or int(found is None)
        for line in lines_of(found or b"") if by_line else [found or b""]:
            number += 1
            shown = line.replace(b"\n", b"$\n") if "e" in chosen else line
            process.stdout.write((b"%6d\t" % number if "n" in chosen else b"") + shown)
    return code


def _count(text: str, process: Process) -> int:
    match = re.fullmatch(r"([-+]?\d+)([kKMG]?)", text)
    if match is None:
        raise options.unknown(process, text)
    return int(match[1]) * {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3}[match[2]]


def _part_options(process: Process, flags: str) -> Options:
    """Of `head` and `tail`: `-5` is `-n 5`."""
    words = process.argv
    process.argv = [
        re.sub(r"^-(\d+)$", r"-n\1", word)
        if index and words[index - 1] not in ("-n", "-c")
        else word
        for index, word in enumerate(words)
    ]
    return options.read(process, flags, "nc", {"lines": "n", "bytes": "c", "follow": "f"})


async def head(process: Process) -> int:
    chosen = _part_options(process, "qv")
    by_bytes = "c" in chosen
    count = _count(chosen.get("c", chosen.get("n", "10")), process)
    code = 0
    for index, name in enumerate(chosen.names or ["-"]):
        pipe = _special(process, name)
        if pipe is not None and count >= 0:
            await _head_of(process, pipe, count, by_bytes=by_bytes)
            continue
        data = await contents(process, name, "{}: {}")
        if data is None:
            code = 1
            continue
        if len(chosen.names) > 1 and "q" not in chosen:
            process.write(("\n" if index else "") + f"==> {name} <==\n")
        pieces = data if by_bytes else lines_of(data)
        shown = pieces[:count]
        process.stdout.write(shown if isinstance(shown, bytes) else b"".join(shown))
    return code


async def _head_of(process: Process, pipe: Pipe, count: int, *, by_bytes: bool) -> None:
    """Only as much as it needs: what writes for ever must not be waited for."""
    while count > 0:
        data = await (pipe.read() if by_bytes else pipe.read_line())
        if not data:
            return
        process.stdout.write(data[:count] if by_bytes else data)
        count -= len(data) if by_bytes else 1


async def tail(process: Process) -> int:
    chosen = _part_options(process, "fFqv")
    by_bytes = "c" in chosen
    text = chosen.get("c", chosen.get("n", "10"))
    count = abs(_count(text, process))
    code = 0
    names = chosen.names or ["-"]
    for index, name in enumerate(names):
        data = await contents(process, name)
        if data is None:
            code = 1
            continue
        if len(names) > 1 and "q" not in chosen:
            process.write(("\n" if index else "") + f"==> {name} <==\n")
        pieces = data if by_bytes else lines_of(data)
        start = count - 1 if text.startswith("+") else len(pieces) - count
        shown = pieces[max(start, 0) :]
        process.stdout.write(shown if isinstance(shown, bytes) else b"".join(shown))
    if set(chosen) & set("fF"):
        await _follow(process, [n for n in names if n != "-"], patient="F" in chosen)
    return code


async def _follow(process: Process, names: list[str], *, patient: bool) -> None:
    """Looks once a second, as busybox does."""
    paths = [absolute(name, process.cwd) for name in names]
    seen = {path: _size(process, path) for path in paths}
    if not patient and all(size is None for size in seen.values()) and paths:
        return
    while True:
        await process.sleep(1)
        for path in paths:
            size, before = _size(process, path), seen[path] or 0
            if size is not None and size != before:
                start = before if size > before else 0
                process.stdout.write(process.files.read(path)[start:])
            seen[path] = size


def _size(process: Process, path: str) -> int | None:
    found = process.files.stat(path)
    return None if found is None else found.size


# ---- looking for lines


def regular(text: str, *, extended: bool, fixed: bool = False) -> str:
    """A POSIX regular expression as Python's."""
    if fixed:
        return re.escape(text)
    for name, inner in {"digit": "0-9", "alpha": "a-zA-Z", "alnum": "a-zA-Z0-9", "space": r"\s",
                        "upper": "A-Z", "lower": "a-z", "blank": r" \t", "xdigit": "0-9a-fA-F",
                        "punct": r"!-/:-@\[-`{-~"}.items():  # fmt: skip
        text = text.replace(f"[:{name}:]", inner)
    return _extended(text) if extended else _basic(text)


_BRACKET = re.compile(r"\[\^?\]?[^\]]*\]")


def _extended(text: str) -> str:
    text = re.sub(r"\\[<>]", r"\\b", text)
    return _BRACKET.sub(lambda m: m[0].replace("\\", "\\\\") if r"\s" not in m[0] else m[0], text)


def _basic(text: str) -> str:
    r"""`\(` groups, `\{` counts, `\|` chooses, and bare they are themselves; `*` first is itself."""
    out, position = "", 0
    while position < len(text):
        char = text[position]
        following = text[position + 1 : position + 2]
        if char == "\\" and following:
            out += (
                following
                if following in "(){}|+?"
                else r"\b"
                if following in "<>"
                else char + following
            )
            position += 2
        elif bracket := _BRACKET.match(text, position):
            out += bracket[0] if r"\s" in bracket[0] else bracket[0].replace("\\", "\\\\")
            position = bracket.end()
        else:
            at_start = not out or out.endswith(("(", "|")) or out == "^"
            literal = char in "(){}|+?" or (char == "*" and at_start)
            out += "\\" + char if literal else char
            position += 1
    return out


async def grep(process: Process) -> int:
    chosen = options.read(process, "EFGivcnqoxwlLshHra", "em", {
        "quiet": "q", "silent": "q", "count": "c", "ignore-case": "i", "invert-match": "v",
        "extended-regexp": "E", "fixed-strings": "F", "line-regexp": "x", "word-regexp": "w",
        "only-matching": "o", "no-messages": "s",
    })  # fmt: skip
    if set(chosen) & set("rL"):
        raise options.unknown(process, "-r" if "r" in chosen else "-L")
    asked = [value for letter, value in chosen.every if letter == "e"]
    if not asked:
        if not chosen.names:
            process.complain("grep: no pattern")
            return 2
        asked = [chosen.names.pop(0)]
    expression = _grep_expression(process, asked, chosen)
    files, bad, any_found = chosen.names, 0, False
    async for name, data in inputs(process, files, "{}: {}"):
        if data is None:
            bad = 2
            continue
        found = _grep_one(process, expression, chosen, name, data, many=len(files) > 1)
        any_found = any_found or found
        if found and "q" in chosen:
            return 0
    return 0 if any_found and not bad else bad or 1


def _grep_expression(process: Process, asked: list[str], chosen: Options) -> re.Pattern[str]:
    extended = "E" in chosen or process.name == "egrep"
    fixed = "F" in chosen or process.name == "fgrep"
    parts = [
        regular(line, extended=extended, fixed=fixed) for text in asked for line in text.split("\n")
    ]
    joined = "|".join(f"(?:{part})" for part in parts)
    if "x" in chosen:
        joined = f"^(?:{joined})$"
    elif "w" in chosen:
        joined = rf"(?<!\w)(?:{joined})(?!\w)"
    try:
        return re.compile(joined, re.I if "i" in chosen else 0)
    except re.error as error:
        raise CannotSimulate(
            f"grep: the simulator cannot read the expression {asked}: {error}"
        ) from None


def _grep_one(
    process: Process,
    expression: re.Pattern[str],
    chosen: Options,
    name: str,
    data: bytes,
    *,
    many: bool,
) -> bool:
    lines = decoded(data).removesuffix("\n").split("\n") if data else []
    found = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if bool(expression.search(line)) is ("v" not in chosen)
    ][: int(chosen.get("m", "1000000000"))]
    if "q" in chosen:
        return bool(found)
    prefix = f"{name}:" if (many or "H" in chosen) and "h" not in chosen else ""
    if "l" in chosen:
        process.write(f"{name}\n" if found else "")
    elif "c" in chosen:
        process.write(f"{prefix}{len(found)}\n")
    else:
        for number, line in found:
            start = prefix + (f"{number}:" if "n" in chosen else "")
            pieces = [m[0] for m in expression.finditer(line) if m[0]] if "o" in chosen else [line]
            process.write("".join(f"{start}{piece}\n" for piece in pieces))
    return bool(found)


async def wc(process: Process) -> int:
    chosen = options.read(process, "lwcmL")
    code, totals, shown = 0, [0, 0, 0], 0
    async for name, data in inputs(process, chosen.names):
        if data is None:
            code = 1
            continue
        counts = [data.count(b"\n"), len(data.split()), len(data)]
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        shown += 1
        process.write(_wc_line(chosen, counts, name if chosen.names else ""))
    if len(chosen.names) > 1:
        process.write(_wc_line(chosen, totals, "total"))
    return code


def _wc_line(chosen: Options, counts: list[int], name: str) -> str:
    letters = [
        letter for letter in "lwc" if letter in chosen or (letter == "c" and "m" in chosen)
    ] or list("lwc")
    if "L" in chosen:
        raise CannotSimulate("the simulator's wc does not know -L")
    numbers = [counts["lwc".index(letter)] for letter in letters]
    text = str(numbers[0]) if len(numbers) == 1 else " ".join(f"{n:9d}" for n in numbers)
    return f"{text} {name}".rstrip() + "\n"


async def seq(process: Process) -> int:
    words = process.argv[1:]
    separator, equal = "\n", False
    while words and re.match(r"-[a-z]", words[0]):
        option = words.pop(0)
        if option == "-w":
            equal = True
        elif option.startswith("-s"):
            separator = option[2:] or words.pop(0)
        else:
            raise options.unknown(process, option)
    try:
        numbers = [float(w) for w in words]
    except ValueError:
        process.complain(f"seq: invalid number in '{' '.join(words)}'")
        return 1
    if not 1 <= len(numbers) <= 3:
        process.complain("seq: wrong number of operands")
        return 1
    first = numbers[0] if len(numbers) > 1 else 1.0
    step = numbers[1] if len(numbers) == 3 else 1.0
    if step == 0:
        raise CannotSimulate(f"{' '.join(process.argv)!r} never ends")
    places = max(len(w.partition(".")[2]) for w in words)
    count = int((numbers[-1] - first) / step + 1e-9) + 1
    shown = [f"{first + i * step:.{places}f}" for i in range(max(count, 0))]
    width = (
        max((len(s) for s in [*shown, *([words[-1]] if equal else [])]), default=0) if equal else 0
    )
    process.write(separator.join(s.zfill(width) for s in shown) + ("\n" if shown else ""))
    return 0


# ---- time


async def date(process: Process) -> int:
    if any(word.startswith("-I") for word in process.argv[1:]):
        chosen = _iso(process)
    else:
        chosen = options.read(process, "uRs", "drD", {"date": "d", "utc": "u", "reference": "r"})
    moment = process.group.now()
    if "s" in chosen or "D" in chosen:
        raise options.unknown(process, "-s")
    if "r" in chosen:
        found = process.files.stat(absolute(chosen["r"], process.cwd))
        if found is None:
            process.complain(f"date: {chosen['r']}: No such file or directory")
            return 1
        moment = datetime.fromtimestamp(found.changed, UTC)
    if "d" in chosen:
        at = read_date(chosen["d"])
        if at is None:
            raise options.unknown(process, f"-d {chosen['d']}")
        moment = at
    pattern = "%a %b %e %H:%M:%S UTC %Y"
    if "R" in chosen:
        pattern = "%a, %d %b %Y %H:%M:%S +0000"
    if "I" in chosen:
        pattern = _ISO_FORMATS[chosen["I"]]
    for name in chosen.names:
        if not name.startswith("+"):
            raise options.unknown(process, name)
        pattern = name[1:]
    process.write(_dated(moment, pattern) + "\n")
    return 0


_ISO_FORMATS = {"": "%Y-%m-%d", "date": "%Y-%m-%d", "hours": "%Y-%m-%dT%H+00:00",
                "minutes": "%Y-%m-%dT%H:%M+00:00", "seconds": "%Y-%m-%dT%H:%M:%S+00:00"}  # fmt: skip


def _iso(process: Process) -> Options:
    """`-I` may have a value only in the same word."""
    chosen = Options()
    for word in process.argv[1:]:
        if word.startswith("-I") and word[2:] in _ISO_FORMATS:
            chosen.add("I", word[2:])
        elif word != "-u":
            raise options.unknown(process, word)
    return chosen


def read_date(text: str) -> datetime | None:
    if re.fullmatch(r"@\d+", text):
        return datetime.fromtimestamp(int(text[1:]), UTC)
    for pattern in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _dated(moment: datetime, pattern: str) -> str:
    def one(match: re.Match[str]) -> str:
        letter = match[1]
        if letter == "s":
            return str(int(moment.timestamp()))
        if letter == "N":
            return f"{moment.microsecond:06d}000"
        if letter == "Z":
            return "UTC"
        if letter not in "aAbBcCdDeFgGhHIjklmMnpPrRSTtuUVwWxXyYz%":
            return match[0]
        return moment.strftime(match[0])

    return re.sub(r"%(.)", one, pattern)


PROGRAMS: dict[str, Program] = {
    "echo": echo, "printf": printf, "yes": yes, "cat": cat, "head": head, "tail": tail, "grep": grep,
    "egrep": grep, "fgrep": grep, "wc": wc, "seq": seq, "date": date,
}  # fmt: skip
