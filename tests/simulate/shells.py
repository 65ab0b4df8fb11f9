"""One script in two shells: the simulator's, in virtual time, and busybox's own."""

import asyncio
import atexit
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.files import View
from podward.simulate.ports import Ports
from podward.simulate.processes import Collected, Group, Pipe, Process
from podward.simulate.virtual_loop import run
from podward.simulate.world import World

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root", "GREETING": "hello you"}


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int | None
    """None: it still ran."""
    out: str
    err: str = field(default="", compare=False)
    at: float = field(default=0.0, compare=False)
    """Virtual seconds."""
    files: tuple[tuple[str, bytes | None], ...] = ()
    """What is left below /tmp: path and contents, None for a folder."""
    problem: str = field(default="", compare=False)
    """Why it could not be simulated."""


def simulated(
    script: str,
    *,
    seconds: float = 3600,
    signals: dict[float, int] | None = None,
    probes: dict[float, str] | None = None,
    strict: bool = False,
) -> Outcome:
    """As PID 1 of a container. `signals` come from outside; `probes` are run beside it, output with its own."""

    async def main() -> Outcome:
        loop = asyncio.get_running_loop()
        clock = LoopClock(datetime(2026, 1, 1, tzinfo=UTC))
        world = World(clock, Entropy(1), strict=strict)
        program = world.find("sh")
        assert program is not None
        files = View(world.new_files())
        group = Group(files, "host", "10.0.0.1", Ports(), clock.now, world.finder(files))
        group.on_problem = world.trouble
        out, err = Collected(), Collected()

        def start(text: str) -> Process:
            return group.spawn(
                program, ["sh", "-c", text], env=ENVIRONMENT, cwd="/",
                stdin=Pipe(ended=True), stdout=out, stderr=err,
            )  # fmt: skip

        process = start(script)
        code: int | None = None
        for at, number in (signals or {}).items():
            loop.call_later(at, process.signal, number)
        for at, text in (probes or {}).items():
            loop.call_later(at, start, text)
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
        except TimeoutError:
            pass
        ended = loop.time()
        process.exit(137)
        await asyncio.sleep(0)
        return Outcome(
            code, out.data.decode(errors="replace"), err.data.decode(errors="replace"), ended,
            tuple(sorted(_left(files, "/tmp"))), str(world.problem or ""),
        )  # fmt: skip

    return run(main())


def _left(files: View, folder: str) -> list[tuple[str, bytes | None]]:
    found: list[tuple[str, bytes | None]] = []
    for name in files.names(folder):
        path = f"{folder}/{name}"
        if files.kind(path) == "directory":
            found += [(path, None), *_left(files, path)]
        elif files.kind(path) == "file":
            found.append((path, files.read(path)))
    return found


@functools.cache
def _applets() -> Path:
    """A folder in which each of busybox's commands is busybox."""
    binary = shutil.which("busybox")
    if binary is None:
        pytest.skip("NOT TESTED: no busybox is here to compare with")
    folder = Path(tempfile.mkdtemp(prefix="podward-busybox-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([binary, "--install", "-s", str(folder)], capture_output=True, check=False)
    return folder


def _by_default() -> None:
    """What the test's own caller ignores, a shell could not trap."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def real(script: str, folder: Path) -> Outcome:
    """In busybox's shell, with `folder` for /tmp."""
    applets = _applets()
    done = subprocess.run(
        ["sh", "-c", script.replace("/tmp", str(folder))], capture_output=True, timeout=20,
        env={**ENVIRONMENT, "PATH": str(applets)}, cwd="/", stdin=subprocess.DEVNULL,
        executable=str(applets / "sh"), preexec_fn=_by_default,
    )  # fmt: skip
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    said = [
        s.decode(errors="replace").replace(str(folder), "/tmp") for s in (done.stdout, done.stderr)
    ]
    left: list[tuple[str, bytes | None]] = []
    for at, folders, names in os.walk(folder):
        base = Path(at)
        left += [("/tmp/" + str((base / n).relative_to(folder)), None) for n in folders]
        for name in names:
            path = base / name
            if path.is_file():
                data = path.read_bytes().replace(str(folder).encode(), b"/tmp")
                left.append(("/tmp/" + str(path.relative_to(folder)), data))
    return Outcome(code, said[0], said[1], files=tuple(sorted(left)))
