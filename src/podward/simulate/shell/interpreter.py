"""Running the tree: a shell is a process whose program walks it.

What POSIX says of the things that matter to health manifests: a trap runs once the foreground command is over,
or at once if the shell waits in `wait`; an ignored signal stays ignored in children; the exit code of a
command ended by signal n is 128 + n; a subshell is a process of its own, and the last command of a shell takes
its place.
"""

import errno
import re
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from podward.simulate.files import absolute
from podward.simulate.processes import (
    IGNORED,
    CannotSimulate,
    Endless,
    Pipe,
    Process,
    Program,
    Sink,
)
from podward.simulate.shell import builtins, expansion, patterns
from podward.simulate.shell.parser import parse
from podward.simulate.shell.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Not,
    Pipeline,
    Redirect,
    Redirected,
    Sequence,
    ShellSyntaxError,
    Simple,
    While,
)

OPTIONS = {
    "e": "errexit", "f": "noglob", "u": "nounset", "x": "xtrace", "C": "noclobber", "a": "allexport",
    "n": "noexec", "v": "verbose", "m": "monitor", "b": "notify", "i": "interactive", "h": "hashall",
    "": "pipefail",
}  # fmt: skip
_TURNS_BEFORE_OTHERS = 64
"""A loop lets the other processes run each so many turns, even if it waits for nothing."""


_MOST_CALLS = 60
"""Of functions within functions."""


class Exit(Exception):
    """`exit` of this shell."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Killed(Exception):
    """What this shell ran itself has ended its process: it does nothing more, not even its EXIT trap."""


class LoopControl(Exception):
    """`break` (or `continue`) out of so many loops."""

    def __init__(self, levels: int, *, again: bool) -> None:
        super().__init__(levels)
        self.levels = levels
        self.again = again


class Return(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Shell:
    def __init__(self, process: Process, name: str, arguments: list[str]) -> None:
        self.process = process
        self.name = name
        self.arguments = arguments
        self.variables: dict[str, str] = dict(process.env)
        self.exported = set(process.env)
        self.read_only: set[str] = set()
        self.functions: dict[str, Command] = {}
        self.locals: list[dict[str, str | None]] = []
        """For each function that runs: what its local variables were outside."""
        self.traps: dict[str, str] = {}
        self.options = dict.fromkeys(OPTIONS.values(), False)
        self.last_code = 0
        self.last_background = 0
        self.main_pid = process.pid
        self.jobs: dict[int, Process] = {}
        """By pid, until they have been waited for."""
        self.job_numbers: dict[int, int] = {}
        """`%1` and so on -> pid."""
        self.loops: list[int] = []
        """The lines of the loops that run, the innermost last."""
        self.line = 0
        self.text = ""
        self.option_letter = 0
        """`getopts`: which letter of its word is next."""
        self._environment: Mapping[str, str] | None = process.env
        self._substituted: int | None = None
        """The code of the last `$(...)` of the command that is being expanded."""
        self._unchecked = 0

    # ---- running

    async def run_text(self, text: str) -> int:
        """The exit code, traps on EXIT included."""
        self.text = text
        try:
            code = await self.sequence(parse(text), last=True)
        except (Exit, Return) as ended:
            code = ended.code
        except LoopControl:
            code = self.last_code
        except ShellSyntaxError as error:
            if self.process.name == "bash":
                raise _bash_only(str(error)) from None
            self.complain(f"{self.name}: {error}")
            code = 2
        return await self._run_exit_trap(code)

    async def _run_exit_trap(self, code: int) -> int:
        trap = self.traps.pop("EXIT", None)
        if trap:
            self.last_code = code
            try:
                await self.sequence(parse(trap))
            except Exit as ended:
                code = ended.code
        return code

    def complain(self, text: str) -> None:
        self.process.complain(text)

    def failure(self, text: str) -> Exit:
        """What ends a shell that is nobody's terminal: told, and to be raised."""
        self.complain(f"{self.name}: {text}")
        return Exit(2)

    async def sequence(self, sequence: Sequence, *, last: bool = False) -> int:
        """`last`: nothing comes after it, so that its last command may take the shell's place."""
        items = sequence.items
        end = len(items) - 1
        for index, (command, background) in enumerate(items):
            if self.options["noexec"]:
                break
            if background:
                self._start_job(command)
                self.last_code = 0
            else:
                self.last_code = await self.command(command, last=last and index == end)
            if self.process.pending:
                await self.handle_signals()
            if self.process.exit_code is not None:
                raise Killed
        return self.last_code

    async def command(self, command: Command, *, last: bool = False) -> int:
        self.process.group.count_step(self._where)
        run: Callable[..., Coroutine[Any, Any, int]] = _RUN[type(command)]
        return await run(self, command, last)

    def _where(self) -> str:
        line = self.loops[-1] if self.loops else self.line
        lines = self.text.splitlines() or [""]
        shown = lines[min(max(line, 1), len(lines)) - 1].strip()
        return f"{self.name}: line {line or 1}: {shown[:100]!r}"

    async def _checked(self, command: Command) -> int:
        """A condition: `set -e` looks away."""
        self._unchecked += 1
        try:
            return await self.command(command)
        finally:
            self._unchecked -= 1

    def _ended(self, code: int) -> int:
        """After a command, a pipeline or a subshell: what `set -e` looks at."""
        if code and self.options["errexit"] and not self._unchecked:
            self.last_code = code
            raise Exit(code)
        return code

    async def _nested(self, command: Sequence, last: bool) -> int:
        return await self.sequence(command, last=last)

    async def _and_or(self, command: AndOr, last: bool) -> int:
        code = self.last_code = await self._checked(command.left)
        wanted = (code == 0) is (command.operator == "&&")
        return await self.command(command.right, last=last) if wanted else code

    async def _not(self, command: Not, last: bool) -> int:
        return int(await self._checked(command.command) == 0)

    async def _if(self, command: If, last: bool) -> int:
        for condition, body in command.branches:
            if await self._checked(condition) == 0:
                return await self.sequence(body, last=last)
        self.last_code = 0
        return await self.sequence(command.otherwise, last=last)

    async def _group(self, command: Group, last: bool) -> int:
        if not command.subshell:
            return await self.sequence(command.body, last=last)
        return self._ended(await self.fork(command.body).wait())

    async def _define(self, command: Function, last: bool) -> int:
        self.functions[command.name] = command.body
        return 0

    async def _while(self, command: While, last: bool) -> int:
        code = turns = 0
        self.loops.append(command.line)
        try:
            while True:
                self.last_code = code
                try:
                    if (await self._checked(command.condition) == 0) is command.until:
                        return code
                    code = await self.sequence(command.body)
                except LoopControl as control:
                    code = 0
                    if _leaves(control):
                        return 0
                turns += 1
                if turns % _TURNS_BEFORE_OTHERS == 0:
                    await self.process.drained()
        finally:
            self.loops.pop()

    async def _for(self, command: For, last: bool) -> int:
        words = list(self.arguments)
        if command.words is not None:
            words = [field for word in command.words for field in await self.fields(word)]
        code = 0
        for value in words:
            self.assign(command.name, value)
            try:
                code = await self.sequence(command.body)
            except LoopControl as control:
                code = 0
                if _leaves(control):
                    return 0
        return code

    async def _case(self, command: Case, last: bool) -> int:
        subject = await expansion.text(self, command.word)
        for alternatives, body in command.items:
            for alternative in alternatives:
                if patterns.matches(subject, await expansion.pattern(self, alternative)):
                    self.last_code = 0
                    return await self.sequence(body, last=last)
        return 0

    # ---- simple commands

    async def _simple(self, command: Simple, last: bool) -> int:
        self.line = command.line
        if command.plain is not None and not self.options["xtrace"]:
            return self._ended(await self.named(list(command.plain), last=last))
        self._substituted = None
        words = [field for word in command.words for field in await self.fields(word)]
        if not words:
            return self._ended(await self._nameless(command))
        if command.redirects or command.assignments or self.options["xtrace"]:
            return self._ended(await self._dressed(command, words, last))
        return self._ended(await self.named(words, last=last))

    async def _nameless(self, command: Simple) -> int:
        for name, value in command.assignments:
            text = await expansion.text(self, value)
            self._trace([f"{name}={text}"])
            self.assign(name, text)
        code = self._substituted or 0
        if command.redirects:
            code = await self.redirected(command.redirects, _nothing) or code
        return code

    async def _dressed(self, command: Simple, words: list[str], last: bool) -> int:
        """With assignments or redirections of its own."""
        assigned = {name: await expansion.text(self, value) for name, value in command.assignments}
        self._trace([*(f"{n}={v}" for n, v in assigned.items()), *words])
        name = words[0]
        if name == "exec" and len(words) == 1:
            return await self._redirect_for_good(command.redirects)
        special = name in builtins.SPECIAL and name not in self.functions
        if special:
            for variable, value in assigned.items():
                self.assign(variable, value)
        if not command.redirects:
            return await self._with(assigned, words, special, last)
        if last and not self.traps and name not in self.functions and name not in builtins.BUILTINS:
            # Taking our place, it never gives the streams back: a pipe that it does not write to is let go.
            if not await self._redirect(command.redirects):
                return 1
            self.process.release()
            return await self._with(assigned, words, special, last)
        return await self.redirected(
            command.redirects,
            lambda: self._with(assigned, words, special, last),
            fatal=1 if special else None,
        )

    async def _with(
        self, assigned: dict[str, str], words: list[str], special: bool, last: bool
    ) -> int:
        """A builtin or function sees the assignments before it; a program gets them as its environment."""
        if special or not assigned:
            return await self.named(words, last=last)
        before = {name: self.variables.get(name) for name in assigned}
        were_exported = set(self.exported)
        for name, value in assigned.items():
            self.assign(name, value)
            self.exported.add(name)
        self._environment = None
        try:
            return await self.named(words, last=last)
        finally:
            for name, old in before.items():
                self.restore(name, old)
            self.exported = were_exported
            self._environment = None

    def _trace(self, words: list[str]) -> None:
        if self.options["xtrace"]:
            shown = [
                w if w and not set(w) & set(" \t\n'\"$`\\*?|&;<>()") else f"'{w}'" for w in words
            ]
            self.complain(f"{self.variables.get('PS4', '+ ')}{' '.join(shown)}")

    async def named(self, words: list[str], *, last: bool = False) -> int:
        name = words[0]
        if name in self.functions:
            return await self._call(self.functions[name], words)
        builtin = builtins.BUILTINS.get(name)
        if builtin is not None:
            return await builtin(self, words)
        return await self.execute(words, last=last)

    async def _call(self, body: Command, words: list[str]) -> int:
        if len(self.locals) > _MOST_CALLS:
            raise CannotSimulate(f"{self._where()} calls itself without end")
        before, self.arguments = self.arguments, words[1:]
        self.locals.append({})
        loops, self.loops = self.loops, []
        try:
            return await self.command(body)
        except Return as returned:
            return returned.code
        finally:
            self.arguments, self.loops = before, loops
            for name, value in self.locals.pop().items():
                self.restore(name, value)

    async def execute(self, words: list[str], *, last: bool = False) -> int:
        """A program in a process of its own, in the foreground."""
        program, code = self.program_of(words[0])
        if program is None:
            return code
        if last and not self.traps:
            return await self.become(program, words)
        return await self._spawn(program, words).wait()

    async def become(self, program: Program, words: list[str]) -> int:
        """The program takes this shell's process over; signals with a trap are the default's again."""
        process = self.process
        process.argv, process.env = words, self.environment()
        process.handlers = process.inherited()
        self.traps.clear()
        return await program(process)

    def program_of(self, name: str) -> tuple[Program | None, int]:
        """(the program of a name or path, the code if there is none)."""
        path = absolute(name, self.process.cwd) if "/" in name else name
        if path is not name or path.startswith("/"):
            found = self.process.files.stat(path)
            if found is not None and (found.kind == "directory" or not found.mode & 0o111):
                self.complain(f"{self.name}: {name}: Permission denied")
                return None, 126
        program = self.process.group.find(path) if name else None
        if program is None:
            self.complain(f"{self.name}: {name}: not found")
        return program, 127

    def path_of(self, name: str) -> str | None:
        """Where a program is; None if there is none."""
        path = absolute(name, self.process.cwd) if "/" in name else name
        return (
            name
            if "/" in name and self.process.group.path_of(path)
            else self.process.group.path_of(path)
        )

    def _spawn(
        self,
        program: Program,
        words: list[str],
        *,
        stdin: Pipe | None = None,
        stdout: Sink | None = None,
        on_exit: Callable[[], None] | None = None,
        background: bool = False,
    ) -> Process:
        us = self.process
        handlers = us.inherited()
        if background:
            handlers |= {signal.SIGINT: IGNORED, signal.SIGQUIT: IGNORED}
        return us.group.spawn(
            program, words, env=self.environment(), cwd=us.cwd, parent=us,
            stdin=stdin or us.stdin, stdout=stdout or us.stdout, stderr=us.stderr,
            others={n: s for n, s in us.fds.items() if n > 2}, handlers=handlers,
            on_exit=on_exit, later=background,
        )  # fmt: skip

    def fork(
        self,
        command: Command,
        *,
        stdin: Pipe | None = None,
        stdout: Sink | None = None,
        on_exit: Callable[[], None] | None = None,
        background: bool = False,
        checked: bool = True,
        jobs: bool = False,
    ) -> Process:
        """A copy of this shell that runs `command`."""

        async def program(process: Process) -> int:
            child = self._copy(process)
            child._unchecked = self._unchecked if checked else 0
            if jobs:
                child.jobs = dict(self.jobs)
            try:
                code = await child.command(command, last=True)
            except (Exit, Return) as ended:
                code = ended.code
            except LoopControl:
                code = 0
            except ShellSyntaxError as error:
                self.complain(f"{self.name}: {error}")
                code = 2
            return await child._run_exit_trap(code)

        return self._spawn(
            program, self.process.argv, stdin=stdin, stdout=stdout, on_exit=on_exit, background=background
        )  # fmt: skip

    def _copy(self, process: Process) -> "Shell":
        child = Shell(process, self.name, self.arguments)
        child.variables, child.exported = dict(self.variables), set(self.exported)
        child.read_only, child.options = set(self.read_only), dict(self.options)
        child.functions = dict(self.functions)
        child.locals = [{} for _ in self.locals]
        child.last_code, child.last_background = self.last_code, self.last_background
        child.main_pid, child.text, child.line = self.main_pid, self.text, self.line
        child.loops = list(self.loops)
        return child

    def _start_job(self, command: Command) -> None:
        job = self.fork(command, stdin=Pipe(ended=True), background=True, checked=False)
        self.jobs[job.pid] = job
        taken = {n for n, pid in self.job_numbers.items() if pid in self.jobs}
        self.job_numbers[min(set(range(1, len(taken) + 2)) - taken)] = job.pid
        self.last_background = job.pid

    def job_pid(self, word: str) -> str:
        """The pid that `%1`, `%%` or `%+` means; any other word as it is."""
        if word in ("%%", "%+", "%"):
            return str(self.last_background)
        number = word[1:]
        if word.startswith("%") and number.isdigit() and int(number) in self.job_numbers:
            return str(self.job_numbers[int(number)])
        return word

    async def _pipeline(self, pipeline: Pipeline, last: bool) -> int:
        *before, final = pipeline.commands
        stdin: Pipe | None = None
        processes = []
        for command in before:
            pipe = Pipe()
            reads = stdin.close if stdin is not None else None
            processes.append(self.fork(command, stdin=stdin, stdout=pipe, on_exit=reads))
            stdin = pipe
        assert stdin is not None
        processes.append(self.fork(final, stdin=stdin, on_exit=stdin.close))
        codes = [await process.wait() for process in processes]
        if self.options["pipefail"]:
            return self._ended(next((code for code in reversed(codes) if code), 0))
        return self._ended(codes[-1])

    async def substitute(self, body: Sequence) -> str:
        """`$(...)`: over when nobody holds its output any more."""
        output = Pipe()
        unchecked, self._unchecked = self._unchecked, 0
        try:
            # `kill $(jobs -p)`: of the shell's own jobs, as busybox has it.
            first = body.items[0][0] if body.items else None
            jobs = isinstance(first, Simple) and (first.plain or ())[:1] == ("jobs",)
            process = self.fork(body, stdout=output, jobs=jobs)
        finally:
            self._unchecked = unchecked
        data = await output.read_all()
        self._substituted = await process.wait()
        return data.replace(b"\0", b"").decode(errors="surrogateescape").rstrip("\n")

    # ---- signals

    async def handle_signals(self) -> None:
        while self.process.pending:
            number = self.process.pending.pop(0)
            trap = self.traps.get(signal.Signals(number).name.removeprefix("SIG"))
            if trap:
                code = self.last_code
                await self.sequence(parse(trap))
                self.last_code = code

    def set_trap(self, name: str, action: str | None) -> None:
        """None: the default again."""
        if name == "EXIT":
            if action is None:
                self.traps.pop(name, None)
            else:
                self.traps[name] = action
            return
        number = signal.Signals[f"SIG{name}"].value
        if action is None:
            self.traps.pop(name, None)
            self.process.handlers.pop(number, None)
        elif action == "":
            self.traps[name] = action
            self.process.handlers[number] = IGNORED
        else:
            self.traps[name] = action
            self.process.handlers[number] = action

    async def wait_for(self, processes: Iterable[Process]) -> tuple[int, bool]:
        """(the last one's code, or 128 + the signal with a trap that came first; whether one came)."""
        code = 0
        for process in processes:
            while process.exit_code is None:
                await self.process.wait_for_signal_or(process)
                if self.process.pending:
                    number = self.process.pending[0]
                    await self.handle_signals()
                    return 128 + number, True
            code = process.exit_code
            self.jobs.pop(process.pid, None)
        return code, False

    # ---- redirections

    async def _redirected_command(self, command: Redirected, last: bool) -> int:
        return await self.redirected(
            command.redirects, lambda: self.command(command.command),
            fatal=2 if command.whole else None,
        )  # fmt: skip

    async def redirected(
        self,
        redirects: tuple[Redirect, ...],
        run: Callable[[], Awaitable[int]],
        *,
        fatal: int | None = None,
    ) -> int:
        """A redirection that fails ends the command; the shell too, with this code, if it is `fatal`."""
        process = self.process
        before, process.fds = process.fds, dict(process.fds)
        try:
            if not await self._redirect(redirects):
                if fatal is not None:
                    raise Exit(fatal)
                return 1
            return await run()
        finally:
            process.fds = before

    async def _redirect_for_good(self, redirects: tuple[Redirect, ...]) -> int:
        if not await self._redirect(redirects):
            raise Exit(1)
        self.process.release()
        return 0

    async def _redirect(self, redirects: tuple[Redirect, ...]) -> bool:
        for redirect in redirects:
            target = await expansion.text(self, redirect.target)
            try:
                self._open(redirect, target)
            except OSError as error:
                verb, why = ("open", "no such file") if redirect.kind == "<" else (
                    "create", "nonexistent directory")  # fmt: skip
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    why = error.strerror or ""
                self.complain(f"{self.name}: can't {verb} {target}: {why}")
                return False
        return True

    def _open(self, redirect: Redirect, target: str) -> None:
        fds, number = self.process.fds, redirect.descriptor
        path = absolute(target, self.process.cwd)
        match redirect.kind:
            case "<<":
                fds[number] = Pipe(target.encode(errors="surrogateescape"), ended=True)
            case ">&":
                self._duplicate(number, target)
            case "<" | "<>":
                fds[number] = self._opened(path)
            case _:
                fds[number] = self._created(path, redirect.kind)

    def _duplicate(self, number: int, target: str) -> None:
        fds = self.process.fds
        if target == "-":
            fds.pop(number, None)
        elif target.isdigit() and int(target) in fds:
            fds[number] = fds[int(target)]
        else:
            raise OSError(9, "Bad file descriptor", target)

    def _opened(self, path: str) -> Pipe:
        if path in ("/dev/zero", "/dev/urandom", "/dev/random"):
            return Endless()
        if path in ("/dev/stdin", "/proc/self/fd/0", "/dev/fd/0"):
            return self.process.stdin
        return Pipe(self.process.files.read(path), ended=True)

    def _created(self, path: str, kind: str) -> Sink:
        process = self.process
        first = process.group.processes.get(1, process)
        own = {
            "/dev/stdout": process.stdout, "/dev/stderr": process.stderr,
            "/dev/fd/1": process.stdout, "/dev/fd/2": process.stderr,
            "/proc/self/fd/1": process.stdout, "/proc/self/fd/2": process.stderr,
            "/proc/1/fd/1": first.stdout, "/proc/1/fd/2": first.stderr,
        } if path.startswith(("/dev/", "/proc/")) else {}  # fmt: skip
        if path in own:
            return own[path]
        if kind == ">" and self.options["noclobber"] and process.files.kind(path) == "file":
            raise OSError(17, "File exists", path)
        return process.files.open(path, append=kind == ">>")

    # ---- words and variables

    async def fields(self, word: Any) -> list[str]:
        return await expansion.fields(self, word)

    def environment(self) -> Mapping[str, str]:
        if self._environment is None:
            exported = self.exported
            self._environment = {n: v for n, v in self.variables.items() if n in exported}
        return self._environment

    def export(self, name: str) -> None:
        self.exported.add(name)
        self._environment = None

    def assign(self, name: str, value: str) -> None:
        if name in self.read_only:
            raise self.failure(f"{name}: is read only")
        self.variables[name] = value
        if name == "OPTIND":
            self.option_letter = 0
        if self.options["allexport"]:
            self.exported.add(name)
        if name in self.exported:
            self._environment = None

    def restore(self, name: str, value: str | None) -> None:
        """What it was before, unset included."""
        if value is None:
            self.variables.pop(name, None)
        else:
            self.variables[name] = value
        self._environment = None

    def unset(self, name: str) -> None:
        if name in self.read_only:
            raise self.failure(f"unset: {name}: is read only")
        self.variables.pop(name, None)
        self.exported.discard(name)
        self._environment = None

    def value(self, name: str) -> str | None:
        found = self.variables.get(name)
        if found is not None:
            return found
        if name.isdigit():
            position = int(name)
            if position == 0:
                return self.name
            return self.arguments[position - 1] if position <= len(self.arguments) else None
        special = _SPECIAL.get(name)
        return special(self) if special is not None else None


def _random(shell: Shell) -> str:
    return str(shell.process.group.random() % 32768)


def _parent(shell: Shell) -> str:
    parent = shell.process.parent
    return str(parent.pid if parent is not None else 0)


_SPECIAL: dict[str, Callable[[Shell], str | None]] = {
    "?": lambda shell: str(shell.last_code),
    "$": lambda shell: str(shell.main_pid),
    "!": lambda shell: str(shell.last_background) if shell.last_background else None,
    "#": lambda shell: str(len(shell.arguments)),
    "@": lambda shell: " ".join(shell.arguments),
    "*": lambda shell: " ".join(shell.arguments),
    "-": lambda shell: "".join(letter for letter, name in OPTIONS.items() if shell.options[name]),
    "PWD": lambda shell: shell.process.cwd,
    "PPID": _parent,
    "LINENO": lambda shell: str(shell.line),
    "RANDOM": _random,
    "OPTIND": lambda shell: "1",
    "IFS": lambda shell: " \t\n",
}


def _leaves(control: LoopControl) -> bool:
    """Whether this loop ends; an outer loop that is meant hears of it."""
    if control.levels > 1:
        raise LoopControl(control.levels - 1, again=control.again) from None
    return not control.again


async def _nothing() -> int:
    return 0


_RUN: dict[type, Callable[..., Coroutine[Any, Any, int]]] = {
    Simple: Shell._simple,
    Sequence: Shell._nested,
    AndOr: Shell._and_or,
    Not: Shell._not,
    Pipeline: Shell._pipeline,
    If: Shell._if,
    While: Shell._while,
    For: Shell._for,
    Case: Shell._case,
    Function: Shell._define,
    Group: Shell._group,
    Redirected: Shell._redirected_command,
}


_BRACE_EXPANSION = re.compile(r"(?<![$\w\\\"'])\{[^\s{}'\"]*(?:,|\.\.)[^\s{}'\"]*\}")


def _bash_only(what: str) -> CannotSimulate:
    """Under the name of `sh` it is the mistake that it is in a container; `bash` would do it."""
    return CannotSimulate(
        f"the simulator's shell is busybox's and has not all that bash has: {what}"
    )


async def sh(process: Process) -> int:
    """`-c TEXT [NAME ARGUMENT...]`, or a script file and its arguments, or a script on standard input."""
    letters, words = _options(process.argv[1:])
    name, arguments = "sh", words
    if "c" in letters:
        if not words:
            process.complain("sh: -c requires an argument")
            return 2
        text, name, arguments = words[0], (words[1:2] or ["sh"])[0], words[2:]
    elif words and "s" not in letters:
        try:
            text = process.files.read(absolute(words[0], process.cwd)).decode()
        except OSError as error:
            process.complain(f"sh: can't open '{words[0]}': {error.strerror}")
            return 2
        name, arguments = words[0], words[1:]
    else:
        text = (await process.stdin.read_all()).decode()
    if process.name == "bash" and (found := _BRACE_EXPANSION.search(text)):
        raise _bash_only(found[0])
    shell = Shell(process, name, arguments)
    for letter in letters:
        if letter in OPTIONS:
            shell.options[OPTIONS[letter]] = True
    if "p" in letters:
        shell.options["pipefail"] = True
    return await shell.run_text(text)


def _options(words: list[str]) -> tuple[str, list[str]]:
    """(letters, the other words); `-o NAME` as its letter, `p` for pipefail."""
    words, letters = list(words), ""
    while words and words[0][:1] == "-" and len(words[0]) > 1:
        word = words.pop(0)
        if word == "--":
            break
        letters += word[1:].replace("o", "")
        if "o" in word[1:] and words:
            name = words.pop(0)
            letters += next((k or "p" for k, v in OPTIONS.items() if v == name), "")
    return letters, words


async def script(process: Process) -> int:
    """A file that may be executed: by what its first line names, else by the shell."""
    path = absolute(process.argv[0], process.cwd)
    first = process.files.read(path).split(b"\n", 1)[0].decode(errors="replace")
    words = first[2:].split() if first.startswith("#!") else ["/bin/sh"]
    program = process.group.find(words[0]) if words else None
    if program is None:
        raise CannotSimulate(f"{path} is to be run by {first!r}, which the simulator does not know")
    process.argv = [*words, path, *process.argv[1:]]
    return await program(process)
