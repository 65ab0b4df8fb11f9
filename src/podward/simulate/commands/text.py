"""Programs that write and look at text."""

import re

from podward.simulate.files import absolute
from podward.simulate.processes import Process, Program


def echoed(words: list[str]) -> bytes:
    """As busybox's and dash's `echo`: `-n`, `-e`, and nothing else."""
    newline, escapes = True, False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        newline = newline and "n" not in words[0]
        escapes = "e" in words[0]
        words = words[1:]
    text = " ".join(words)
    return (_unescaped(text) if escapes else text).encode() + (b"\n" if newline else b"")


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        known = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "\\": "\\", "e": "\x1b"}
        if code in known:
            return known[code]
        if code[0] == "x":
            return chr(int(code[1:], 16))
        return chr(int(code, 8) & 255)

    return re.sub(r"\\([ntrabe\\]|x[0-9a-fA-F]{1,2}|0?[0-7]{1,3})", plain, text)


def formatted(words: list[str]) -> bytes:
    """`printf`: the format is used again while arguments are left."""
    if not words:
        return b""
    pattern, arguments = words[0], list(words[1:])
    out = ""
    while True:
        before = len(arguments)

        def fill(match: re.Match[str]) -> str:
            flags, kind = match[1], match[2]
            if kind == "%":
                return "%"
            argument = arguments.pop(0) if arguments else ""
            if kind in "diouxX":
                number = int(argument, 0) if argument.strip() else 0
                return f"%{flags}{'d' if kind in 'iu' else kind}" % number
            if kind in "feEgG":
                return f"%{flags}{kind}" % float(argument or 0)
            return f"%{flags}s" % (_unescaped(argument) if kind == "b" else argument)

        out += re.sub(r"%([-+ 0#]*\d*(?:\.\d+)?)([diouxXfeEgGsbc%])", fill, _unescaped(pattern))
        if not arguments or len(arguments) == before:
            return out.encode()


async def echo(process: Process) -> int:
    process.stdout.write(echoed(process.argv[1:]))
    return 0


async def printf(process: Process) -> int:
    process.stdout.write(formatted(process.argv[1:]))
    return 0


async def read_inputs(process: Process, names: list[str]) -> tuple[list[bytes], int]:
    """The files' contents (`-` or none: standard input), and 1 if one cannot be read."""
    out, code = [], 0
    for name in names or ["-"]:
        if name == "-":
            out.append(await process.stdin.read_all())
            continue
        try:
            out.append(process.files.read(absolute(name, process.cwd)))
        except OSError as error:
            text = f"{process.argv[0].rpartition('/')[2]}: can't open '{name}': {error.strerror}\n"
            process.stderr.write(text.encode())
            code = 1
    return out, code


async def cat(process: Process) -> int:
    """Shows what it can; 1 if something could not be read."""
    worst = 0
    for name in [w for w in process.argv[1:] if w == "-" or not w.startswith("-")] or ["-"]:
        if name == "-":
            while data := await process.stdin.read():
                process.stdout.write(data)
            continue
        inputs, code = await read_inputs(process, [name])
        worst = max(worst, code)
        for data in inputs:
            process.stdout.write(data)
    return worst


def _lines_option(words: list[str]) -> tuple[int, list[str], bool]:
    """(count, the other words, follow?) of `head` and `tail`."""
    count, follow, rest = 10, False, []
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "-n" and words:
            count = int(words.pop(0).lstrip("+-") or 0)
        elif re.fullmatch(r"-n?\d+", word):
            count = int(word.lstrip("-n"))
        elif word in ("-f", "-F"):
            follow = True
        elif word == "-" or not word.startswith("-"):
            rest.append(word)
    return count, rest, follow


async def head(process: Process) -> int:
    count, names, _ = _lines_option(process.argv[1:])
    inputs, code = await read_inputs(process, names)
    for data in inputs:
        process.stdout.write(b"".join(data.splitlines(keepends=True)[:count]))
    return code


async def tail(process: Process) -> int:
    """`tail -f` follows for ever; what is appended later is not shown (nobody simulates by it)."""
    from podward.simulate.commands.system import for_ever

    count, names, follow = _lines_option(process.argv[1:])
    inputs, code = await read_inputs(process, names)
    for data in inputs:
        process.stdout.write(b"".join(data.splitlines(keepends=True)[-count:] if count else []))
    if follow and not code:
        await for_ever()
    return code


async def grep(process: Process) -> int:
    words = process.argv[1:]
    flags = "".join(w[1:] for w in words if w.startswith("-") and w != "-")
    pattern, *names = [w for w in words if not w.startswith("-") or w == "-"]
    expression = re.compile(
        re.escape(pattern) if "F" in flags else pattern, re.I if "i" in flags else 0
    )
    inputs, code = await read_inputs(process, names)
    found = [
        line
        for data in inputs
        for line in data.decode(errors="replace").splitlines()
        if bool(expression.search(line)) is ("v" not in flags)
    ]
    if "q" not in flags:
        shown = [str(len(found))] if "c" in flags else found
        process.stdout.write("".join(f"{line}\n" for line in shown).encode())
    return 2 if code else int(not found)


async def wc(process: Process) -> int:
    flags = [w for w in process.argv[1:] if w.startswith("-")]
    inputs, code = await read_inputs(process, [w for w in process.argv[1:] if w[0] != "-"])
    data = b"".join(inputs)
    counts = {"-l": data.count(b"\n"), "-w": len(data.split()), "-c": len(data)}
    shown = [counts[f] for f in flags if f in counts] or list(counts.values())
    process.stdout.write((" ".join(map(str, shown)) + "\n").encode())
    return code


async def seq(process: Process) -> int:
    numbers = [int(w) for w in process.argv[1:]]
    first, step, last = {1: (1, 1, *numbers), 2: (numbers[0], 1, numbers[-1])}.get(
        len(numbers), tuple(numbers[:3])
    )
    stop = last + (1 if step > 0 else -1)
    process.stdout.write("".join(f"{n}\n" for n in range(first, stop, step)).encode())
    return 0


async def date(process: Process) -> int:
    moment = process.group.now()
    words = process.argv[1:]
    formats = [w[1:] for w in words if w.startswith("+")]
    pattern = formats[0] if formats else "%a %b %e %H:%M:%S UTC %Y"
    pattern = pattern.replace("%s", str(int(moment.timestamp()))).replace("%N", "000000000")
    process.stdout.write((moment.strftime(pattern) + "\n").encode())
    return 0


PROGRAMS: dict[str, Program] = {
    "echo": echo, "printf": printf, "cat": cat, "head": head, "tail": tail, "grep": grep, "wc": wc,
    "seq": seq, "date": date,
}  # fmt: skip
