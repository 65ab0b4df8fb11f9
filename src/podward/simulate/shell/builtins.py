"""Commands that are the shell itself: what changes it, and what is too small for a process."""

import re
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from podward.simulate.commands.conditions import TestProblem, holds
from podward.simulate.commands.text import BadFormat, echoed, formatted
from podward.simulate.files import absolute
from podward.simulate.processes import CannotSimulate
from podward.simulate.shell.arithmetic import ArithmeticProblem, calculate
from podward.simulate.shell.parser import parse
from podward.simulate.shell.syntax import ShellSyntaxError
from podward.simulate.shell.words import CLOSING, OPENING

if TYPE_CHECKING:
    from podward.simulate.shell.interpreter import Shell

Builtin = Callable[["Shell", list[str]], Awaitable[int]]

_NAME = re.compile(r"[A-Za-z_]\w*")


async def _true(shell: "Shell", words: list[str]) -> int:
    return 0


async def _false(shell: "Shell", words: list[str]) -> int:
    return 1


def _number(shell: "Shell", words: list[str], fallback: int) -> int:
    if len(words) < 2:
        return fallback
    if not words[1].isdigit():
        raise shell.failure(f"{words[0]}: Illegal number: {words[1]}")
    return int(words[1])


async def _exit(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.interpreter import Exit

    raise Exit(_number(shell, words, shell.last_code) & 255)


async def _return(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.interpreter import Return

    raise Return(_number(shell, words, shell.last_code) & 255)


async def _break(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.interpreter import LoopControl

    raise LoopControl(_number(shell, words, 1), again=words[0] == "continue")


async def _cd(shell: "Shell", words: list[str]) -> int:
    words = [w for w in words if w not in ("-L", "-P", "--")]
    target = words[1] if len(words) > 1 else shell.variables.get("HOME", "/")
    if target == "-":
        target = shell.variables.get("OLDPWD", shell.process.cwd)
        shell.process.write(f"{target}\n")
    path = absolute(target, shell.process.cwd)
    if shell.process.files.kind(path) != "directory":
        shell.complain(f"{shell.name}: cd: can't cd to {target}: No such file or directory")
        return 2
    shell.assign("OLDPWD", shell.process.cwd)
    shell.process.cwd = path
    return 0


async def _echo(shell: "Shell", words: list[str]) -> int:
    shell.process.stdout.write(echoed(words[1:]))
    return 0


async def _printf(shell: "Shell", words: list[str]) -> int:
    try:
        shell.process.stdout.write(formatted(words[1:]))
    except BadFormat as error:
        shell.process.stdout.write(error.output)
        shell.complain(f"{shell.name}: {error}")
        return error.code
    return 0


async def _test(shell: "Shell", words: list[str]) -> int:
    arguments = words[1:]
    if words[0] in ("[", "[["):
        if not arguments or arguments[-1] != ("]" if words[0] == "[" else "]]"):
            shell.complain(f"{shell.name}: missing ]")
            return 2
        arguments.pop()
    try:
        return int(not holds(arguments, shell.process, patterns=words[0] == "[["))
    except TestProblem as error:
        shell.complain(f"{shell.name}: {words[0]}: {error}")
        return 2


async def _export(shell: "Shell", words: list[str]) -> int:
    """`export` and `readonly`."""
    names = [w for w in words[1:] if w != "-p"]
    if not names:
        shown = sorted(shell.exported if words[0] == "export" else shell.read_only)
        for name in shown:
            value = shell.variables.get(name)
            quoted = "" if value is None else "='" + value.replace("'", "'\\''") + "'"
            shell.process.write(f"{words[0]} {name}{quoted}\n")
        return 0
    for word in names:
        name, equals, value = word.partition("=")
        if not _NAME.fullmatch(name):
            raise shell.failure(f"{words[0]}: {name}: bad variable name")
        if equals:
            shell.assign(name, value)
        if words[0] == "export":
            shell.export(name)
        else:
            shell.read_only.add(name)
    return 0


async def _local(shell: "Shell", words: list[str]) -> int:
    if not shell.locals:
        raise shell.failure("local: not in a function")
    for word in words[1:]:
        name, equals, value = word.partition("=")
        shell.locals[-1].setdefault(name, shell.variables.get(name))
        if equals:
            shell.assign(name, value)
    return 0


async def _unset(shell: "Shell", words: list[str]) -> int:
    functions = "-f" in words[1:2]
    for name in words[1:]:
        if name in ("-f", "-v"):
            continue
        if functions or name not in shell.variables:
            shell.functions.pop(name, None)
        if not functions:
            shell.unset(name)
    return 0


async def _set(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.interpreter import OPTIONS

    rest = words[1:]
    if not rest:
        for name, value in sorted(shell.variables.items()):
            quoted = value.replace("'", "'\\''")
            shell.process.write(f"{name}='{quoted}'\n")
        return 0
    while rest and rest[0][:1] in ("-", "+") and len(rest[0]) > 1:
        word = rest.pop(0)
        if word == "--":
            shell.arguments = rest
            return 0
        for letter in word[1:]:
            name = rest.pop(0) if letter == "o" and rest else OPTIONS.get(letter, "?")
            if (letter not in OPTIONS and letter != "o") or name not in (*OPTIONS.values(), "o"):
                raise shell.failure(f"set: illegal option {word}")
            if letter == "o" and name == "o":
                continue
            shell.options[name] = word[0] == "-"
    if rest:
        shell.arguments = rest
    return 0


async def _shift(shell: "Shell", words: list[str]) -> int:
    count = _number(shell, words, 1)
    if count > len(shell.arguments):
        return 1
    shell.arguments = shell.arguments[count:]
    return 0


async def _trap(shell: "Shell", words: list[str]) -> int:
    words = [w for i, w in enumerate(words) if not (i == 1 and w == "--")]
    if len(words) == 1:
        for name, action in shell.traps.items():
            quoted = action.replace("'", "'\\''")
            shell.process.write(f"trap -- '{quoted}' {name}\n")
        return 0
    names = words[2:]
    wanted = None if words[1] == "-" else words[1]
    if not names or words[1].isdigit():
        names, wanted = words[1:], None  # `trap TERM`, `trap 15`: the default again
    for name in names:
        try:
            shell.set_trap(signal_name(name), wanted)
        except KeyError:
            shell.complain(f"{shell.name}: trap: {name}: invalid signal specification")
            return 1
    return 0


def signal_name(word: str) -> str:
    """`TERM`, `SIGTERM` and `15` are one; `0` is EXIT. `KeyError` for no signal."""
    if word in ("0", "EXIT"):
        return "EXIT"
    if word.isdigit():
        try:
            return signal.Signals(int(word)).name.removeprefix("SIG")
        except ValueError:
            raise KeyError(word) from None
    name = word.upper().removeprefix("SIG")
    return signal.Signals[f"SIG{name}"].name.removeprefix("SIG")


async def _kill(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.commands.system import send_signals

    targets = [shell.job_pid(word) for word in words[1:]]
    return send_signals(shell.process, targets, prefix=f"{shell.name}: ")


async def _wait(shell: "Shell", words: list[str]) -> int:
    if len(words) == 1:
        code, interrupted = await shell.wait_for(list(shell.jobs.values()))
        return code if interrupted else 0
    code = 0
    for word in words[1:]:
        pid = shell.job_pid(word)
        job = shell.jobs.get(int(pid)) if pid.isdigit() else None
        code = 127
        if job is not None:
            code, interrupted = await shell.wait_for([job])
            if interrupted:
                return code
    return code


async def _jobs(shell: "Shell", words: list[str]) -> int:
    if set(words[1:]) - {"-p"}:
        raise CannotSimulate(f"the simulator's `jobs` does not know {' '.join(words[1:])!r}")
    for number, job in enumerate(shell.jobs.values(), 1):
        state = "Running" if job.exit_code is None else "Done"
        shell.process.write(f"{job.pid}\n" if "-p" in words else f"[{number}]+  {state}\n")
    return 0


async def _read(shell: "Shell", words: list[str]) -> int:
    names, raw, timeout = words[1:], False, None
    while names and names[0].startswith("-") and len(names[0]) > 1:
        option = names.pop(0)
        if option == "-r":
            raw = True
        elif option == "-t" and names:
            timeout = float(names.pop(0))
        elif option in ("-p", "-s"):
            names = names[1:] if option == "-p" else names
        else:
            raise CannotSimulate(f"the simulator's `read` does not know the option {option}")
    line = (await shell.process.stdin.read_line(timeout)).decode(errors="surrogateescape")
    while not raw and re.search(r"(?<!\\)(?:\\\\)*\\\n$", line):
        following = (await shell.process.stdin.read_line(timeout)).decode(errors="surrogateescape")
        line = line[:-2] + following
    values = read_fields(line.removesuffix("\n"), shell.variables.get("IFS", " \t\n"),
                         max(len(names), 1), raw=raw or not names)  # fmt: skip
    for name, value in zip(names or ["REPLY"], values, strict=True):
        shell.assign(name, value)
    return 0 if line.endswith("\n") else 1


def read_fields(line: str, ifs: str, count: int, *, raw: bool) -> list[str]:
    """What `read` gives its variables: the last one gets all that is left."""
    chars: list[tuple[str, bool]] = []
    escaped = False
    for char in line:
        if char == "\\" and not raw and not escaped:
            escaped = True
            continue
        chars.append((char, char in ifs and not escaped))
        escaped = False
    blank = [c for c in ifs if c.isspace()]
    out = []
    position = _skip(chars, 0, blank)
    for _ in range(count - 1):
        start = position
        while position < len(chars) and not chars[position][1]:
            position += 1
        out.append("".join(c for c, _ in chars[start:position]))
        position = _skip(chars, position, blank)
        if position < len(chars) and chars[position][1]:
            position = _skip(chars, position + 1, blank)
    rest = chars[position:]
    while rest and rest[-1][1] and rest[-1][0] in blank:
        rest.pop()
    if count > 1 or blank != list(ifs):
        delimiters = [i for i, (_, splits) in enumerate(rest) if splits]
        if delimiters == [len(rest) - 1]:
            rest.pop()
    return [*out, "".join(c for c, _ in rest)]


def _skip(chars: list[tuple[str, bool]], position: int, blank: list[str]) -> int:
    while position < len(chars) and chars[position][1] and chars[position][0] in blank:
        position += 1
    return position


async def _eval(shell: "Shell", words: list[str]) -> int:
    if len(words) == 1:
        return 0
    try:
        tree = parse(" ".join(words[1:]))
    except ShellSyntaxError as error:
        raise shell.failure(f"eval: {error}") from None
    shell.last_code = 0
    return await shell.sequence(tree)


async def _source(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.interpreter import Return

    if len(words) == 1:
        return 0
    try:
        text = shell.process.files.read(absolute(words[1], shell.process.cwd)).decode()
        tree = parse(text)
    except OSError as error:
        raise shell.failure(f".: can't open '{words[1]}': {error.strerror}") from None
    except ShellSyntaxError as error:
        raise shell.failure(f"{words[1]}: {error}") from None
    before = shell.arguments
    if len(words) > 2:
        shell.arguments = words[2:]
    try:
        return await shell.sequence(tree)
    except Return as returned:
        return returned.code
    finally:
        shell.arguments = before


async def _exec(shell: "Shell", words: list[str]) -> int:
    """The program takes the shell's place: the same pid, its signals by default again."""
    from podward.simulate.shell.interpreter import Exit

    words = [w for i, w in enumerate(words) if not (i == 1 and w == "--")]
    if len(words) == 1:
        return 0
    found, code = shell.program_of(words[1])
    if found is None:
        raise Exit(code)
    raise Exit(await shell.become(found, words[1:]))


async def _command(shell: "Shell", words: list[str]) -> int:
    rest = [w for w in words[1:] if w != "-p"]
    if not rest:
        return 0
    if rest[0] in ("-v", "-V"):
        found = [_described(shell, name, long=rest[0] == "-V") for name in rest[1:]]
        shell.process.write("".join(f"{text}\n" for text in found if text))
        return 0 if all(found) else 127
    builtin = BUILTINS.get(rest[0])
    return await (builtin(shell, rest) if builtin else shell.execute(rest))


async def _type(shell: "Shell", words: list[str]) -> int:
    code = 0
    for name in words[1:]:
        found = _described(shell, name, long=True)
        shell.process.write(f"{found or f'{name}: not found'}\n")
        code = code if found else 127
    return code


def _described(shell: "Shell", name: str, *, long: bool) -> str | None:
    """What a name is, as `command -v` (or `type`) says it."""
    if name in (*OPENING, *CLOSING, "case", "for", "in"):
        return f"{name} is a shell keyword" if long else name
    if name in shell.functions:
        return f"{name} is a function" if long else name
    if name in BUILTINS:
        kind = "a special shell builtin" if name in SPECIAL else "a shell builtin"
        return f"{name} is {kind}" if long else name
    path = shell.path_of(name)
    if path is None:
        return None
    return f"{name} is {path}" if long else path


async def _pwd(shell: "Shell", words: list[str]) -> int:
    shell.process.write(f"{shell.process.cwd}\n")
    return 0


async def _let(shell: "Shell", words: list[str]) -> int:
    value = 0
    for word in words[1:]:
        try:
            value = calculate(word, shell.value, shell.assign)
        except ArithmeticProblem as error:
            raise shell.failure(f"let: {error}") from None
    return int(value == 0)


async def _getopts(shell: "Shell", words: list[str]) -> int:
    if len(words) < 3:
        raise shell.failure("getopts: usage: getopts optstring var [arg]")
    known, name = words[1], words[2]
    arguments = words[3:] or shell.arguments
    position = int(shell.value("OPTIND") or 1)
    letter = shell.option_letter or 1
    word = arguments[position - 1] if position <= len(arguments) else ""
    if not word.startswith("-") or word in ("-", "--"):
        shell.assign("OPTIND", str(position + (word == "--")))
        shell.assign(name, "?")
        return 1
    option, rest = word[letter], word[letter + 1 :]
    at = known.lstrip(":").find(option) if option != ":" else -1
    takes = at >= 0 and known.lstrip(":")[at + 1 : at + 2] == ":"
    shell.variables.pop("OPTARG", None)
    following = position + (not rest or takes)
    found = option
    if at < 0:
        found = "?"
        _option_problem(shell, known, option, f"illegal option -{option}")
    elif takes and rest:
        shell.assign("OPTARG", rest)
    elif takes and position < len(arguments):
        shell.assign("OPTARG", arguments[position])
        following += 1
    elif takes:
        found = ":" if known.startswith(":") else "?"
        _option_problem(shell, known, option, f"no arg for -{option} option")
    shell.assign("OPTIND", str(following))
    shell.option_letter = 0 if following > position else letter + 1
    shell.assign(name, found)
    return 0


def _option_problem(shell: "Shell", known: str, option: str, text: str) -> None:
    if known.startswith(":"):
        shell.assign("OPTARG", option)
    else:
        shell.complain(text)


async def _umask(shell: "Shell", words: list[str]) -> int:
    if len(words) == 1:
        shell.process.write(f"{shell.process.umask:04o}\n")
        return 0
    try:
        shell.process.umask = int(words[1], 8) & 0o777
    except ValueError:
        raise CannotSimulate(f"the simulator's `umask` does not know {words[1]!r}") from None
    return 0


async def _ulimit(shell: "Shell", words: list[str]) -> int:
    if not any(word.isdigit() or word == "unlimited" for word in words[1:]):
        shell.process.write("unlimited\n")
    return 0


async def _times(shell: "Shell", words: list[str]) -> int:
    shell.process.write("0m0.000s 0m0.000s\n0m0.000s 0m0.000s\n")
    return 0


BUILTINS: dict[str, Builtin] = {
    ":": _true, "true": _true, "false": _false, "exit": _exit, "return": _return, "break": _break,
    "continue": _break, "cd": _cd, "echo": _echo, "printf": _printf, "test": _test, "[": _test,
    "[[": _test, "export": _export, "local": _local, "readonly": _export, "unset": _unset,
    "set": _set, "shift": _shift, "trap": _trap, "kill": _kill, "wait": _wait, "read": _read,
    "eval": _eval, ".": _source, "source": _source, "exec": _exec, "command": _command, "pwd": _pwd,
    "umask": _umask, "ulimit": _ulimit, "hash": _true, "type": _type, "let": _let, "getopts": _getopts,
    "jobs": _jobs, "times": _times,
}  # fmt: skip

SPECIAL = (":", "exit", "return", "break", "continue", "export", "readonly", "unset", "set", "shift",
           "trap", "eval", ".", "source", "exec", "times")  # fmt: skip
"""POSIX: an assignment before one of these stays."""
