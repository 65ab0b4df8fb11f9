"""Running the tree: a shell is a process whose program walks it.

What POSIX says of the things that matter to health manifests: a trap runs once the foreground command is over,
or at once if the shell waits in `wait`; an ignored signal stays ignored in children; the exit code of a command
ended by signal n is 128 + n; a subshell is a process of its own.
"""

import asyncio
import fnmatch
import posixpath
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from podward.simulate.files import absolute
from podward.simulate.processes import (
    IGNORED,
    CannotSimulate,
    Collected,
    FileSink,
    Pipe,
    Process,
    Program,
    Sink,
)
from podward.simulate.shell import builtins
from podward.simulate.shell.arithmetic import ArithmeticProblem, calculate
from podward.simulate.shell.syntax import (
    AndOr,
    Arithmetic,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Not,
    Parameter,
    Part,
    Pipeline,
    Redirect,
    Redirected,
    Sequence,
    ShellSyntaxError,
    Simple,
    Text,
    While,
    Word,
    parse,
)

Find = Callable[[str], Program | None]
"""Name of a command -> its program."""

MAX_STEPS_WITHOUT_TIME: Final = 100_000
"""A loop that turns so often while no time passes would never let time pass."""


class Exit(Exception):
    """`exit` of this shell."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


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
    def __init__(self, process: Process, find: Find, name: str, arguments: list[str]) -> None:
        self.process = process
        self.find = find
        self.name = name
        self.arguments = arguments
        self.variables = dict(process.env)
        self.exported = set(process.env)
        self.functions: dict[str, Command] = {}
        self.traps: dict[str, str] = {}
        self.last_code = 0
        self.last_background = 0
        self.jobs: dict[int, Process] = {}
        self.stop_on_error = False
        self.ends_here = False
        """A child of the shell that has one simple command to run: it need not wait for it, it becomes it."""
        self._steps = 0
        self._stepped_at = -1.0
        self._unchecked = 0

    # ---- running

    async def run_text(self, text: str) -> int:
        """The exit code, traps on EXIT included."""
        try:
            code = await self.sequence(parse(text))
        except Exit as ended:
            code = ended.code
        except ShellSyntaxError as error:
            self.complain(str(error))
            code = 2
        trap = self.traps.pop("EXIT", None)
        if trap:
            try:
                await self.sequence(parse(trap))
            except Exit as ended:
                code = ended.code
        return code

    def complain(self, text: str) -> None:
        self.process.stderr.write(f"{text}\n".encode())

    async def sequence(self, sequence: Sequence) -> int:
        for command, background in sequence.items:
            if background:
                self._start_job(command)
                self.last_code = 0
            else:
                self.last_code = await self.command(command)
                exempt = isinstance(command, AndOr | Not)
                if self.stop_on_error and self.last_code and not self._unchecked and not exempt:
                    raise Exit(self.last_code)
            await self._handle_signals()
        return self.last_code

    async def command(self, command: Command) -> int:
        self._count_step()
        match command:
            case Simple():
                return await self._simple(command)
            case AndOr():
                code = self.last_code = await self._checked(command.left)
                wanted = (code == 0) is (command.operator == "&&")
                return await self.command(command.right) if wanted else code
            case Not():
                return int(await self._checked(command.command) == 0)
            case Pipeline():
                return await self._pipeline(command)
            case Sequence():
                return await self.sequence(command)
            case If():
                for condition, body in command.branches:
                    if await self._checked(condition) == 0:
                        return await self.sequence(body)
                self.last_code = 0
                return await self.sequence(command.otherwise)
            case While():
                return await self._while(command)
            case For():
                return await self._for(command)
            case Case():
                return await self._case(command)
            case Function():
                self.functions[command.name] = command.body
                return 0
            case Group(subshell=True):
                return await self._fork(command.body).wait()
            case Group():
                return await self.sequence(command.body)
            case Redirected():
                return await self._redirected(
                    command.redirects, lambda: self.command(command.command)
                )

    async def _checked(self, command: Command) -> int:
        """A condition: `set -e` looks away."""
        self._unchecked += 1
        try:
            return await self.command(command)
        finally:
            self._unchecked -= 1

    def _count_step(self) -> None:
        now = asyncio.get_running_loop().time()
        if now != self._stepped_at:
            self._steps, self._stepped_at = 0, now
        self._steps += 1
        if self._steps > MAX_STEPS_WITHOUT_TIME:
            raise CannotSimulate(
                f"{self.name} loops without end and without a sleep in it: virtual time cannot pass"
            )

    async def _while(self, command: While) -> int:
        code = 0
        while (await self._checked(command.condition) == 0) is not command.until:
            try:
                code = await self.sequence(command.body)
            except LoopControl as control:
                if control.levels > 1:
                    raise LoopControl(control.levels - 1, again=control.again) from None
                if not control.again:
                    return 0
            await asyncio.sleep(0)
        return code

    async def _for(self, command: For) -> int:
        words = list(self.arguments)
        if command.words is not None:
            words = [field for word in command.words for field in await self.fields(word)]
        code = 0
        for value in words:
            self.variables[command.name] = value
            try:
                code = await self.sequence(command.body)
            except LoopControl as control:
                if control.levels > 1:
                    raise LoopControl(control.levels - 1, again=control.again) from None
                if not control.again:
                    return 0
        return code

    async def _case(self, command: Case) -> int:
        subject = await self.text(command.word)
        for patterns, body in command.items:
            for pattern in patterns:
                if fnmatch.fnmatchcase(subject, await self._pattern(pattern)):
                    self.last_code = 0
                    return await self.sequence(body)
        return 0

    # ---- processes

    async def _simple(self, command: Simple) -> int:
        words = [field for word in command.words for field in await self.fields(word)]
        assigned = {name: await self.text(value) for name, value in command.assignments}
        if not words:
            self.variables |= assigned
            if command.redirects:
                return await self._redirected(command.redirects, _nothing)
            return self.last_code if command.assignments else 0
        return await self._redirected(command.redirects, lambda: self._named(words, assigned))

    async def _named(self, words: list[str], assigned: dict[str, str]) -> int:
        name = words[0]
        if name in self.functions:
            return await self._call(self.functions[name], words)
        builtin = builtins.BUILTINS.get(name)
        if builtin is not None:
            self.variables |= assigned if name in builtins.SPECIAL else {}
            return await builtin(self, words)
        return await self.execute(words, assigned)

    async def _call(self, body: Command, words: list[str]) -> int:
        before, self.arguments = self.arguments, words[1:]
        try:
            return await self.command(body)
        except Return as returned:
            return returned.code
        finally:
            self.arguments = before

    async def execute(self, words: list[str], assigned: dict[str, str] | None = None) -> int:
        """A program in a process of its own, in the foreground."""
        program = self._program(words[0])
        if program is None:
            return 127
        env = self.environment() | (assigned or {})
        if self.ends_here:
            return await self.become(program, words, env)
        return await self._spawn(program, words, env=env).wait()

    async def become(self, program: Program, words: list[str], env: dict[str, str]) -> int:
        """The program takes this shell's process over; signals with a trap are the default's again."""
        process = self.process
        process.argv, process.env = words, env
        process.handlers = {n: h for n, h in process.handlers.items() if h == IGNORED}
        self.traps.clear()
        return await program(process)

    def _program(self, name: str) -> Program | None:
        program = self.find(name)
        if program is None:
            self.complain(f"{self.name}: {name}: not found")
        return program

    def environment(self) -> dict[str, str]:
        return {n: v for n, v in self.variables.items() if n in self.exported}

    def _spawn(
        self,
        program: Program,
        words: list[str],
        *,
        env: dict[str, str] | None = None,
        stdin: Pipe | None = None,
        stdout: Sink | None = None,
    ) -> Process:
        us = self.process
        child = us.group.spawn(
            program, words, env=self.environment() if env is None else env, cwd=us.cwd, parent=us,
            stdin=stdin or us.stdin, stdout=stdout or us.stdout, stderr=us.stderr,
        )  # fmt: skip
        child.handlers = {n: IGNORED for n, h in us.handlers.items() if h == IGNORED}
        return child

    def _fork(
        self, command: Command, *, stdin: Pipe | None = None, stdout: Sink | None = None
    ) -> Process:
        """A copy of this shell that runs `command`."""

        async def program(process: Process) -> int:
            child = Shell(process, self.find, self.name, list(self.arguments))
            child.variables, child.exported = dict(self.variables), set(self.exported)
            child.functions = dict(self.functions)
            child.last_code = self.last_code
            child.stop_on_error = self.stop_on_error
            child.ends_here = isinstance(command, Simple)
            try:
                return await child.command(command)
            except Exit as ended:
                return ended.code
            except Return as returned:
                return returned.code

        return self._spawn(program, self.process.argv, stdin=stdin, stdout=stdout)

    def _start_job(self, command: Command) -> None:
        job = self._fork(command, stdin=Pipe(ended=True))
        self.jobs[job.pid] = job
        self.last_background = job.pid

    async def _pipeline(self, pipeline: Pipeline) -> int:
        *before, last = pipeline.commands
        if not before:
            return await self.command(last)
        stdin: Pipe | None = None
        for command in before:
            pipe = Pipe()
            process = self._fork(command, stdin=stdin, stdout=pipe)
            process.on_exit.append(pipe.end)
            stdin = pipe
        return await self._fork(last, stdin=stdin).wait()

    # ---- signals

    async def _handle_signals(self) -> None:
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
            self.process.handlers[number] = IGNORED
        else:
            self.traps[name] = action
            self.process.handlers[number] = action

    async def wait_for(self, processes: Iterable[Process]) -> int | None:
        """The last one's code; None if a trapped signal came first (then its trap has run)."""
        code = 0
        for process in processes:
            while process.exit_code is None:
                if await self._first(process):
                    await self._handle_signals()
                    return None
            code = process.exit_code
            self.jobs.pop(process.pid, None)
        return code

    async def _first(self, process: Process) -> bool:
        """Whether a signal came before the process ended."""
        ended = asyncio.ensure_future(process.wait())
        told = asyncio.ensure_future(self.process.signalled.wait())
        try:
            await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            told.cancel()
        self.process.signalled.clear()
        return bool(self.process.pending)

    # ---- redirections

    async def _redirected(
        self, redirects: tuple[Redirect, ...], run: Callable[[], Awaitable[int]]
    ) -> int:
        if not redirects:
            return await run()
        process = self.process
        before = process.stdin, process.stdout, process.stderr
        try:
            await self.apply_redirects(redirects)
        except OSError as error:
            process.stdin, process.stdout, process.stderr = before
            self.complain(f"{self.name}: can't open {error.filename}: {error.strerror}")
            return 1
        try:
            return await run()
        finally:
            process.stdin, process.stdout, process.stderr = before

    async def apply_redirects(self, redirects: tuple[Redirect, ...]) -> None:
        process = self.process
        for redirect in redirects:
            target = await self.text(redirect.target)
            if redirect.kind == "<<":
                process.stdin = Pipe(target.encode(), ended=True)
            elif redirect.kind == "<":
                data = process.files.read(absolute(target, process.cwd))
                process.stdin = Pipe(data, ended=True)
            else:
                self._redirect_output(redirect, target)

    def _redirect_output(self, redirect: Redirect, target: str) -> None:
        process = self.process
        sink: Sink
        if redirect.kind == ">&":
            sink = process.stderr if target == "2" else process.stdout
        else:
            path = absolute(target, process.cwd)
            own = {
                "/dev/stdout": process.stdout, "/dev/stderr": process.stderr,
                "/proc/1/fd/1": process.stdout, "/proc/1/fd/2": process.stderr,
            }  # fmt: skip
            if path in own:
                sink = own[path]
            else:
                process.files.write(path, b"", append=redirect.kind == ">>")
                sink = FileSink(process.files, path)
        if redirect.descriptor == 2:
            process.stderr = sink
        elif redirect.descriptor == 1:
            process.stdout = sink

    # ---- words

    async def text(self, word: Word) -> str:
        """The word as one text: no splitting, no file names."""
        return "".join([await self._part_text(part) for part in word])

    async def fields(self, word: Word) -> list[str]:
        """What the word comes to: fields are split, `*` becomes file names."""
        fields: list[str] = []
        current: str | None = None
        globs = False
        for index, part in enumerate(word):
            if isinstance(part, Parameter) and part.name == "@":
                *first, last = self.arguments or [""]
                joined = [*first, last] if self.arguments else []
                for position, value in enumerate(joined):
                    if position:
                        fields.append(current or "")
                        current = ""
                    current = (current or "") + value
                continue
            text = await self._part_text(part)
            quoted = getattr(part, "quoted", False)
            if isinstance(part, Text):
                if index == 0 and not part.quoted and text.startswith("~"):
                    text = self.variables.get("HOME", "/") + text[1:]
                globs = globs or (not part.quoted and any(c in text for c in "*?["))
                current = (current or "") + text
            elif quoted:
                current = (current or "") + text
            else:
                pieces = text.split()
                if text[:1].isspace() and current is not None:
                    fields.append(current)
                    current = None
                for position, piece in enumerate(pieces):
                    if position:
                        fields.append(current or "")
                        current = None
                    current = (current or "") + piece
                if pieces and text[-1:].isspace() and index < len(word) - 1:
                    fields.append(current or "")
                    current = None
        if current is not None:
            fields.append(current)
        if globs:
            return [name for field in fields for name in self._file_names(field)]
        return fields

    def _file_names(self, pattern: str) -> list[str]:
        files, cwd = self.process.files, self.process.cwd
        found = [""] if not pattern.startswith("/") else ["/"]
        for piece in pattern.strip("/").split("/"):
            onward = []
            for base in found:
                folder = absolute(base or ".", cwd)
                if files.kind(folder) != "directory":
                    continue
                names = [
                    n
                    for n in files.names(folder)
                    if fnmatch.fnmatchcase(n, piece)
                    and (not n.startswith(".") or piece.startswith("."))
                ]
                onward += [posixpath.join(base, name) for name in names]
            found = onward
        return found or [pattern]

    async def _pattern(self, word: Word) -> str:
        """For `case` and `${x#pattern}`: quoted parts match themselves only."""
        out = ""
        for part in word:
            text = await self._part_text(part)
            quoted = getattr(part, "quoted", False)
            out += "".join(f"[{c}]" if c in "*?[" else c for c in text) if quoted else text
        return out

    async def _part_text(self, part: Part) -> str:
        match part:
            case Text():
                return part.text
            case Parameter():
                return await self._parameter(part)
            case Arithmetic():
                try:
                    return str(calculate(await self.text(part.parts), self.variables))
                except ArithmeticProblem as error:
                    self.complain(f"{self.name}: {error}")
                    raise Exit(2) from None
        output = Collected()
        self.last_code = await self._fork(part.body, stdout=output).wait()
        return output.data.decode(errors="replace").rstrip("\n")

    async def _parameter(self, part: Parameter) -> str:
        value = self.value(part.name)
        if part.length:
            return str(len(value or ""))
        operator = part.operator
        if not operator:
            return value or ""
        if operator in ("#", "##", "%", "%%"):
            return _trimmed(value or "", operator, await self._pattern(part.argument))
        missing = value is None or (operator.startswith(":") and value == "")
        match operator[-1]:
            case "-":
                return await self.text(part.argument) if missing else value or ""
            case "=":
                if missing:
                    value = self.variables[part.name] = await self.text(part.argument)
                return value or ""
            case "+":
                return "" if missing else await self.text(part.argument)
            case "?":
                if missing:
                    why = await self.text(part.argument) or "parameter not set"
                    self.complain(f"{self.name}: {part.name}: {why}")
                    raise Exit(2)
                return value or ""
        raise ShellSyntaxError(f"the simulator's shell does not know ${{{part.name}{operator}}}")

    def value(self, name: str) -> str | None:
        match name:
            case "?":
                return str(self.last_code)
            case "$":
                return str(self.process.pid)
            case "!":
                return str(self.last_background or "")
            case "#":
                return str(len(self.arguments))
            case "@" | "*":
                return " ".join(self.arguments)
            case "0":
                return self.name
            case "-":
                return "e" if self.stop_on_error else ""
        if name.isdigit():
            position = int(name)
            return self.arguments[position - 1] if position <= len(self.arguments) else None
        if name == "PWD":
            return self.process.cwd
        return self.variables.get(name)


async def _nothing() -> int:
    return 0


def _trimmed(value: str, operator: str, pattern: str) -> str:
    shortest_first = operator in ("#", "%%")
    order = range(len(value) + 1) if shortest_first else range(len(value), -1, -1)
    for cut in order:
        if operator[0] == "#" and fnmatch.fnmatchcase(value[:cut], pattern):
            return value[cut:]
        if operator[0] == "%" and fnmatch.fnmatchcase(value[cut:], pattern):
            return value[:cut]
    return value


def program(find: Find) -> Program:
    """`sh`: `-c TEXT [NAME ARGUMENT...]`, or a script file and its arguments."""

    async def run(process: Process) -> int:
        words = process.argv[1:]
        stop_on_error = False
        while words and words[0].startswith("-") and words[0] != "-c" and "c" not in words[0]:
            stop_on_error = stop_on_error or "e" in words.pop(0)
        if words and words[0].startswith("-"):
            stop_on_error = stop_on_error or "e" in words[0]
            text, name, arguments = words[1], (words[2:3] or ["sh"])[0], words[3:]
        elif words:
            try:
                text = process.files.read(absolute(words[0], process.cwd)).decode()
            except OSError as error:
                process.stderr.write(f"sh: can't open '{words[0]}': {error.strerror}\n".encode())
                return 2
            name, arguments = words[0], words[1:]
        else:
            text, name, arguments = (await process.stdin.read_all()).decode(), "sh", []
        shell = Shell(process, find, name, arguments)
        shell.stop_on_error = stop_on_error
        return await shell.run_text(text)

    return run
