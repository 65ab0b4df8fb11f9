"""Commands that are the shell itself: what changes it, and what is too small for a process."""

import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from podward.simulate.files import absolute

if TYPE_CHECKING:
    from podward.simulate.shell.interpreter import Shell

Builtin = Callable[["Shell", list[str]], Awaitable[int]]


async def _true(shell: "Shell", words: list[str]) -> int:
    return 0


async def _false(shell: "Shell", words: list[str]) -> int:
    return 1


def _number(words: list[str], fallback: int) -> int:
    return int(words[1]) if len(words) > 1 and words[1].lstrip("-").isdigit() else fallback


async def _exit(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.interpreter import Exit

    raise Exit(_number(words, shell.last_code) & 255)


async def _return(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.interpreter import Return

    raise Return(_number(words, shell.last_code) & 255)


async def _break(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.interpreter import LoopControl

    raise LoopControl(_number(words, 1), again=words[0] == "continue")


async def _cd(shell: "Shell", words: list[str]) -> int:
    target = words[1] if len(words) > 1 else shell.variables.get("HOME", "/")
    path = absolute(target, shell.process.cwd)
    if shell.process.files.kind(path) != "directory":
        shell.complain(f"{shell.name}: cd: can't cd to {target}: No such file or directory")
        return 2
    shell.process.cwd = path
    return 0


async def _echo(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.commands.text import echoed

    shell.process.stdout.write(echoed(words[1:]))
    return 0


async def _printf(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.commands.text import formatted

    shell.process.stdout.write(formatted(words[1:]))
    return 0


async def _test(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.commands.conditions import TestProblem, holds

    arguments = words[1:]
    if words[0] in ("[", "[["):
        if arguments[-1:] not in (["]"], ["]]"]):
            shell.complain(f"{shell.name}: missing ]")
            return 2
        arguments.pop()
    try:
        return int(not holds(arguments, shell.process, patterns=words[0] == "[["))
    except TestProblem as error:
        shell.complain(f"{shell.name}: {words[0]}: {error}")
        return 2


async def _export(shell: "Shell", words: list[str]) -> int:
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if equals:
            shell.variables[name] = value
        if words[0] == "export" and not name.startswith("-"):
            shell.exported.add(name)
    return 0


async def _unset(shell: "Shell", words: list[str]) -> int:
    for name in words[1:]:
        shell.variables.pop(name, None)
        shell.functions.pop(name, None)
        shell.exported.discard(name)
    return 0


async def _set(shell: "Shell", words: list[str]) -> int:
    for index, word in enumerate(words[1:], 1):
        if word == "--":
            shell.arguments = words[index + 1 :]
            break
        if word[:1] in "-+" and "e" in word:
            shell.stop_on_error = word[0] == "-"
    return 0


async def _shift(shell: "Shell", words: list[str]) -> int:
    count = _number(words, 1)
    if count > len(shell.arguments):
        return 1
    shell.arguments = shell.arguments[count:]
    return 0


async def _trap(shell: "Shell", words: list[str]) -> int:
    if len(words) < 3:
        if len(words) == 2:
            shell.set_trap(_signal_name(words[1]), None)
        return 0
    for name in words[2:]:
        try:
            shell.set_trap(_signal_name(name), None if words[1] == "-" else words[1])
        except KeyError:
            shell.complain(f"{shell.name}: trap: {name}: invalid signal specification")
            return 1
    return 0


def _signal_name(word: str) -> str:
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
    number, targets = int(signal.SIGTERM), words[1:]
    if targets and targets[0] == "-s" and len(targets) > 1:
        targets = [f"-{targets[1]}", *targets[2:]]
    if targets and targets[0].startswith("-") and len(targets) > 1:
        name = targets.pop(0)[1:]
        try:
            number = 0 if name == "0" else signal.Signals[f"SIG{_signal_name(name)}"].value
        except KeyError:
            shell.complain(f"{shell.name}: bad signal name '{name}'")
            return 1
    code = 0
    for target in targets:
        pid = int(target.lstrip("%")) if target.lstrip("%-").isdigit() else 0
        process = shell.process.group.processes.get(pid)
        if process is None:
            shell.complain(f"{shell.name}: can't kill pid {target}: No such process")
            code = 1
        elif number:
            process.signal(number)
    return code


async def _wait(shell: "Shell", words: list[str]) -> int:
    if len(words) == 1:
        waited = await shell.wait_for(list(shell.jobs.values()))
        return 128 + signal.SIGTERM if waited is None else 0
    code = 127
    for word in words[1:]:
        job = shell.jobs.get(int(word.lstrip("%"))) if word.lstrip("%").isdigit() else None
        if job is not None:
            waited = await shell.wait_for([job])
            code = 128 + signal.SIGTERM if waited is None else waited
    return code


async def _read(shell: "Shell", words: list[str]) -> int:
    names = [w for w in words[1:] if not w.startswith("-")] or ["REPLY"]
    line = (await shell.process.stdin.read_line()).decode(errors="replace")
    fields = line.rstrip("\n").split(None, len(names) - 1)
    for index, name in enumerate(names):
        shell.variables[name] = fields[index].rstrip() if index < len(fields) else ""
    return 0 if line else 1


async def _eval(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.syntax import parse

    return await shell.sequence(parse(" ".join(words[1:])))


async def _source(shell: "Shell", words: list[str]) -> int:
    from podward.simulate.shell.syntax import parse

    text = shell.process.files.read(absolute(words[1], shell.process.cwd)).decode()
    return await shell.sequence(parse(text))


async def _exec(shell: "Shell", words: list[str]) -> int:
    """The program takes the shell's place: the same pid, its signals by default again."""
    from podward.simulate.shell.interpreter import Exit

    if len(words) == 1:
        return 0
    found = shell.find(words[1])
    if found is None:
        shell.complain(f"{shell.name}: exec: {words[1]}: not found")
        raise Exit(127)
    raise Exit(await shell.become(found, words[1:], shell.environment()))


async def _command(shell: "Shell", words: list[str]) -> int:
    if words[1:2] == ["-v"]:
        known = words[2:3] and (words[2] in BUILTINS or shell.find(words[2]) is not None)
        if known:
            shell.process.stdout.write(f"{words[2]}\n".encode())
        return 0 if known else 127
    builtin = BUILTINS.get(words[1])
    return await (builtin(shell, words[1:]) if builtin else shell.execute(words[1:]))


async def _pwd(shell: "Shell", words: list[str]) -> int:
    shell.process.stdout.write(f"{shell.process.cwd}\n".encode())
    return 0


BUILTINS: dict[str, Builtin] = {
    ":": _true, "true": _true, "false": _false, "exit": _exit, "return": _return, "break": _break,
    "continue": _break, "cd": _cd, "echo": _echo, "printf": _printf, "test": _test, "[": _test,
    "[[": _test, "export": _export, "local": _export, "readonly": _export, "unset": _unset,
    "set": _set, "shift": _shift, "trap": _trap, "kill": _kill, "wait": _wait, "read": _read,
    "eval": _eval, ".": _source, "source": _source, "exec": _exec, "command": _command, "pwd": _pwd,
    "umask": _true, "ulimit": _true, "hash": _true,
}  # fmt: skip

SPECIAL = (":", "exit", "return", "break", "continue", "export", "readonly", "unset", "set", "shift",
           "trap", "eval", ".", "source", "exec")  # fmt: skip
"""POSIX: an assignment before one of these stays."""
