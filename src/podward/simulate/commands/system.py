"""Programs about processes and time, and those that run others."""

import asyncio
import re
import signal
from collections.abc import Callable, Sequence

from podward.simulate.commands import options
from podward.simulate.commands.text import decoded, regular
from podward.simulate.files import absolute
from podward.simulate.processes import IGNORED, CannotSimulate, Pipe, Process, Program

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


async def for_ever() -> None:
    """Until the process is ended; a timer, so that the loop knows that time may pass."""
    await asyncio.sleep(86400 * 365 * 100)


def _seconds(text: str) -> float | None:
    match = re.fullmatch(r"(\d*\.?\d+|\d+\.)([smhd]?)", text)
    return float(match[1]) * _UNITS[match[2]] if match else None


async def sleep(process: Process) -> int:
    total = 0.0
    for word in process.argv[1:]:
        seconds = _seconds(word)
        if word in ("infinity", "inf"):
            await for_ever()
        if seconds is None:
            process.complain(f"sleep: invalid number '{word}'")
            return 1
        total += seconds
    if not process.argv[1:]:
        process.complain("sleep: missing operand")
        return 1
    await process.sleep(total)
    return 0


async def usleep(process: Process) -> int:
    if not process.argv[1:] or not process.argv[1].isdigit():
        process.complain("usleep: invalid number")
        return 1
    await process.sleep(int(process.argv[1]) / 1e6)
    return 0


async def true(process: Process) -> int:
    return 0


async def false(process: Process) -> int:
    return 1


# ---- signals


def signal_number(word: str) -> int | None:
    """Of `TERM`, `SIGTERM` or `15`; None for no signal."""
    if word.isdigit():
        return int(word) if int(word) < 65 else None
    try:
        return signal.Signals[f"SIG{word.upper().removeprefix('SIG')}"].value
    except KeyError:
        return 0 if word == "EXIT" else None


def _chosen_signal(words: list[str]) -> tuple[int | None, str, list[str]]:
    """(its number, as it was written, the other words)."""
    if words and words[0] in ("-s", "--signal") and len(words) > 1:
        return signal_number(words[1]), words[1], words[2:]
    if words and re.fullmatch(r"-(\d+|[A-Za-z]+\d*)", words[0]):
        return signal_number(words[0][1:]), words[0][1:], words[1:]
    return int(signal.SIGTERM), "TERM", words


def send_signals(process: Process, words: Sequence[str], *, prefix: str = "") -> int:
    """`kill`: to pids, or (0 and negative) to process groups."""
    words = list(words)
    if words[:1] == ["-l"]:
        return _list_signals(process, words[1:])
    number, written, targets = _chosen_signal(words)
    if number is None:
        process.complain(f"{prefix}bad signal name '{written}'")
        return 1
    targets = targets[1:] if targets[:1] == ["--"] else targets
    if not targets:
        process.complain("kill: you need to specify whom to kill")
        return 1
    code = 0
    for target in targets:
        if not re.fullmatch(r"-?\d+", target):
            process.complain(f"{prefix}invalid number '{target}'")
            code = 1
        elif not process.group.send(process, number, int(target)):
            process.complain(f"{prefix}can't kill pid {target}: No such process")
            code = 1
    return code


def _list_signals(process: Process, words: list[str]) -> int:
    if not words:
        raise options.unknown(process, "-l alone")
    for word in words:
        number = signal_number(word)
        if number is None:
            return 1
        name = signal.Signals(number & 127).name.removeprefix("SIG")
        process.write(f"{name if word.isdigit() else number}\n")
    return 0


async def kill(process: Process) -> int:
    return send_signals(process, process.argv[1:])


def _named(process: Process, name: str) -> list[Process]:
    everyone = sorted(process.group.processes.items())
    return [p for _, p in everyone if p is not process and p.name == name]


async def killall(process: Process) -> int:
    words = [w for w in process.argv[1:] if w != "-q"]
    number, written, names = _chosen_signal(words)
    if number is None:
        process.complain(f"killall: bad signal name '{written}'")
        return 1
    code = int(not names)
    for name in names:
        found = _named(process, name)
        if not found and "-q" not in process.argv:
            process.complain(f"killall: {name}: no process killed")
        code = code or int(not found)
        for one in found:
            process.group.send(process, number, one.pid)
    return code


def _matching(process: Process, words: list[str]) -> tuple[list[Process], options.Options]:
    process.argv = [process.argv[0], *words]
    chosen = options.read(process, "flxonvq", "P", {"full": "f", "exact": "x"})
    if set(chosen) & set("onv"):
        raise options.unknown(process, "-o, -n or -v")
    if len(chosen.names) > 1 or not (chosen.names or "P" in chosen):
        raise options.unknown(process, " ".join(words))
    expression = re.compile((chosen.names or [""])[0])
    found = []
    for _, one in sorted(process.group.processes.items()):
        text = " ".join(one.argv) if "f" in chosen else one.name
        hit = expression.fullmatch(text) if "x" in chosen else expression.search(text)
        under = "P" not in chosen or (one.parent is not None and str(one.parent.pid) == chosen["P"])
        if one is not process and hit and under:
            found.append(one)
    return found, chosen


async def pgrep(process: Process) -> int:
    found, chosen = _matching(process, process.argv[1:])
    for one in found:
        process.write(f"{one.pid} {' '.join(one.argv)}\n" if "l" in chosen else f"{one.pid}\n")
    return int(not found)


async def pkill(process: Process) -> int:
    number, written, words = _chosen_signal(process.argv[1:])
    if number is None or (number == 0 and written not in ("0", "EXIT")):
        number, words = int(signal.SIGTERM), process.argv[1:]
    found, _ = _matching(process, words)
    for one in found:
        process.group.send(process, number, one.pid)
    return int(not found)


async def pidof(process: Process) -> int:
    chosen = options.read(process, "s", "o")
    found = [p.pid for name in chosen.names for p in reversed(_named(process, name))]
    found = found[:1] if "s" in chosen else found
    if found:
        process.write(" ".join(map(str, found)) + "\n")
    return int(not found)


async def ps(process: Process) -> int:
    if any("o" in word for word in process.argv[1:]):
        raise options.unknown(process, "-o")
    process.write("PID   USER     TIME  COMMAND\n")
    for pid, one in sorted(process.group.processes.items()):
        process.write(f"{pid:>5} root      0:00 {' '.join(one.argv)}\n")
    return 0


# ---- running others


async def env(process: Process) -> int:
    chosen = options.read(process, "i0", "u", leading=True)
    environment = {} if "i" in chosen else dict(process.env)
    for letter, name in chosen.every:
        if letter == "u":
            environment.pop(name, None)
    words = chosen.names
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    process.env = environment
    if words:
        return await process.become(words)
    process.write("".join(f"{name}={value}\n" for name, value in environment.items()))
    return 0


async def print_env(process: Process) -> int:
    names = process.argv[1:]
    if not names:
        process.write("".join(f"{name}={value}\n" for name, value in process.env.items()))
    for name in names:
        if name in process.env:
            process.write(f"{process.env[name]}\n")
    return int(not all(name in process.env for name in names))


async def timeout(process: Process) -> int:
    """As busybox's: the command has our pid, and what watches it is another."""
    chosen = options.read(process, "", "sk", {"signal": "s", "kill-after": "k"}, leading=True)
    number = signal_number(chosen.get("s", "TERM"))
    seconds = _seconds(chosen.names[0]) if chosen.names else None
    last = _seconds(chosen["k"]) if "k" in chosen else 0.0
    if seconds is None or last is None or number is None or len(chosen.names) < 2:
        process.complain("timeout: invalid or missing time")
        return 1
    loop = asyncio.get_running_loop()
    timers = (
        [loop.call_later(seconds, process.group.send, process, number, process.pid)]
        if seconds
        else []
    )
    if seconds and last:
        kill_number = int(signal.SIGKILL)
        timers.append(
            loop.call_later(seconds + last, process.group.send, process, kill_number, process.pid)
        )
    process.on_exit += [timer.cancel for timer in timers]
    return await process.become(chosen.names[1:])


async def leading_program(process: Process) -> int:
    """`nohup`, `setsid`, `nice`: run what follows, changed a little."""
    chosen = options.read(process, "c", "n", leading=True)
    if process.name == "nohup":
        process.handlers[signal.SIGHUP] = IGNORED
    if process.name == "setsid":
        process.leader = process.pid
    return await process.become(chosen.names)


async def xargs(process: Process) -> int:
    chosen = options.read(
        process, "r0tx", "nIPLd", {"no-run-if-empty": "r", "null": "0"}, leading=True
    )
    if set(chosen) & set("Ld"):
        raise options.unknown(process, "-L or -d")
    text = decoded(await process.stdin.read_all())
    words = chosen.names or ["echo"]
    if "I" in chosen:
        batches = [[line.strip()] for line in text.splitlines() if line.strip()]
    else:
        items = _items(process, text) if "0" not in chosen else [w for w in text.split("\0") if w]
        size = int(chosen.get("n", "0")) or max(len(items), 1)
        batches = [items[i : i + size] for i in range(0, len(items), size)]
        if not items and "r" not in chosen:
            batches = [[]]
    process.stdin = Pipe(ended=True)
    worst = 0
    for batch in batches:
        argv = (
            [w.replace(chosen["I"], batch[0]) for w in words] if "I" in chosen else [*words, *batch]
        )
        code = await process.run(argv)
        if code in (126, 127):
            return code
        if code == 255:
            return 124
        worst = 123 if code else worst
    return worst


def _items(process: Process, text: str) -> list[str]:
    out = []
    for match in re.finditer(r"(?:[^\s'\"\\]|\\.|'[^'\n]*'|\"[^\"\n]*\")+|['\"]", text, re.S):
        if match[0] in ("'", '"'):
            raise CannotSimulate(f"{' '.join(process.argv)!r}: a quote without its end")
        out.append(
            re.sub(r"\\(.)|'([^']*)'|\"([^\"]*)\"", lambda m: m[1] or m[2] or m[3] or "", match[0])
        )
    return out


async def which(process: Process) -> int:
    code = 0
    for name in process.argv[1:]:
        path = process.group.path_of(absolute(name, process.cwd) if "/" in name else name)
        if path is None:
            code = 1
        else:
            process.write(f"{path}\n")
    return code


# ---- facts


async def hostname(process: Process) -> int:
    chosen = options.read(process, "isf")
    process.write(f"{process.group.address if 'i' in chosen else process.group.hostname}\n")
    return 0


async def pwd(process: Process) -> int:
    process.write(f"{process.cwd}\n")
    return 0


async def nproc(process: Process) -> int:
    process.write("2\n")
    return 0


async def identity(process: Process) -> int:
    chosen = options.read(process, "ugnG")
    if process.name == "whoami" or "n" in chosen:
        process.write("root\n")
    else:
        process.write("0\n" if chosen else "uid=0(root) gid=0(root) groups=0(root)\n")
    return 0


async def uname(process: Process) -> int:
    chosen = options.read(process, "asnrmv")
    facts = {"s": "Linux", "n": process.group.hostname, "r": "6.1.0", "v": "#1 SMP", "m": "x86_64"}
    letters = "snrvm" if "a" in chosen else "".join(chosen) or "s"
    process.write(" ".join(value for letter, value in facts.items() if letter in letters) + "\n")
    return 0


async def expr(process: Process) -> int:
    try:
        value = _expression(process, list(process.argv[1:]))
    except (ValueError, ZeroDivisionError):
        process.complain("expr: syntax error")
        return 2
    process.write(f"{value}\n")
    return int(value in ("", "0"))


def _expression(process: Process, words: list[str]) -> str:
    match words:
        case [one]:
            return one
        case ["length", text]:
            return str(len(text))
        case [left, ":", pattern]:
            found = re.compile(regular(pattern, extended=False)).match(left)
            if found is None:
                return "" if "\\(" in pattern else "0"
            return (found[1] or "") if found.re.groups else str(found.end())
        case [left, operator, right] if operator in _EXPR:
            return str(_EXPR[operator](left, right))
    raise options.unknown(process, " ".join(words))


def _remainder(a: int, b: int) -> int:
    return a - b * int(a / b)


def _before(left: str, right: str) -> bool:
    """By number if both are, else as text."""
    try:
        return int(left) < int(right)
    except ValueError:
        return left < right


_EXPR: dict[str, Callable[[str, str], int | str]] = {
    "+": lambda a, b: int(a) + int(b),
    "-": lambda a, b: int(a) - int(b),
    "*": lambda a, b: int(a) * int(b),
    "/": lambda a, b: int(int(a) / int(b)),
    "%": lambda a, b: _remainder(int(a), int(b)),
    "=": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(_before(a, b)),
    "<=": lambda a, b: int(not _before(b, a)),
    ">": lambda a, b: int(_before(b, a)),
    ">=": lambda a, b: int(not _before(a, b)),
    "|": lambda a, b: a if a not in ("", "0") else b,
    "&": lambda a, b: a if a not in ("", "0") and b not in ("", "0") else "0",
}


PROGRAMS: dict[str, Program] = {
    "sleep": sleep, "usleep": usleep, "true": true, "false": false, "kill": kill, "killall": killall,
    "pkill": pkill, "ps": ps, "pgrep": pgrep, "pidof": pidof, "hostname": hostname, "pwd": pwd,
    "printenv": print_env, "env": env, "timeout": timeout, "nohup": leading_program,
    "setsid": leading_program, "nice": leading_program, "xargs": xargs, "which": which, "nproc": nproc,
    "id": identity, "whoami": identity, "uname": uname, "sync": true, "expr": expr,
}  # fmt: skip
