"""Commands in containers without the engine: every case both ways, on a real containerd."""

import asyncio
import contextlib
import difflib
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop
from tests.engine.containerd import Containerd

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ExecResult,
    ExecTimeout,
    Mount,
    NamespaceMode,
    Resources,
    RuntimeFailure,
    SandboxConfig,
    SecurityContext,
    SecurityProfile,
)
from podward.kubelet.runtime.cri import CriRuntime
from podward.machinery.clock import SystemClock


@pytest.fixture(scope="module")
def containerd(containerd: Containerd) -> Iterator[Containerd]:
    """One that goes before nothing, as this process: commands see how nice who started them is."""
    made = Containerd()
    made.before = ()
    yield made.start().load_usual()
    made.tear_down()


WHO = r"""
grep -E '^(Uid|Gid|Groups|Umask|Cap|NoNewPrivs|Seccomp|Speculation|Sig(Blk|Ign)|Threads)' /proc/self/status
env; id; pwd; umask; ulimit -a; hostname; tty; ls /
cat /proc/self/cgroup /proc/self/limits /proc/self/oom_score_adj /proc/self/timerslack_ns
for n in /proc/self/ns/*; do echo $n $(readlink $n); done
for fd in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/$$/fd/$fd; done
cut -d' ' -f 4-8,18-20,40-41 /proc/self/stat
cat /proc/self/loginuid /proc/self/sessionid /proc/self/attr/current
grep -o "_ses\..*" /proc/keys | head -c 40
echo written > /dev/stdout; echo written > /dev/stderr
echo of mine > /tmp/mine; stat -c '%a %u %g' /tmp/mine; rm -f /tmp/mine
mount -t tmpfs none /mnt; chown 5:5 /etc/hosts; mknod /tmp/node c 1 3; rm -f /tmp/node
ip link | grep -oE ': (lo|eth0)'
"""
"""Everything a process can see of itself. What differs from run to run is taken out by `sober`."""

COMMANDS: dict[str, list[str]] = {
    "who am I": ["sh", "-c", WHO],
    "where am I": ["cat", "/proc/self/mounts"],
    "exit code": ["sh", "-c", "echo out; echo err >&2; exit 7"],
    "end by SIGKILL": ["sh", "-c", "kill -9 $$"],
    "end by SIGTERM": ["sh", "-c", "kill $$"],
    "no shell": ["env"],
    "an absolute path": ["/bin/echo", "a b", "", "$HOME", "ü"],
    "a missing program": ["no-such-program"],
    "a missing path": ["/no/such/program"],
    "a directory": ["/etc"],
    "not executable": ["/etc/passwd"],
    "a bad interpreter": ["/work/bad-interpreter"],
    "no program at all": ["/work/text"],
    "a script": ["/work/script", "one"],
    "a script for what runs it": ["/work/self"],
    "a relative path": ["work/script"],
    "an empty word": [""],
    "missing in a shell": ["sh", "-c", "no-such-program"],
    "much output": ["sh", "-c", "yes 0123456789 | head -c 300000; exit 3"],
    "much output on stderr": ["sh", "-c", "yes 0123456789 | head -c 300000 >&2"],
    "somebody else holds the pipe": ["sh", "-c", "(sleep 0.3; echo late) & echo early"],
    "left in the background": ["sh", "-c", "sleep 30 >/dev/null 2>&1 & echo started"],
}


PLAIN = SecurityContext()


NOT_EXECUTED = [
    "no-such-program", "/no/such/program", "/etc", "/etc/passwd", "/work/bad-interpreter", "/work/text",
    "/work/self", "",
]  # fmt: skip
"""The engine says what is wrong with them. All others it never hears of."""


@dataclass
class Case:
    """A container: what is asked for."""

    security: SecurityContext = PLAIN
    sandbox: dict[str, object] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)


DEFAULT = SecurityProfile("RuntimeDefault")
CASES = {
    "plain": Case(config={"env": {"COLOUR": "blue", "EMPTY": "", "TWO": "a\nb"}}),
    "user and groups": Case(
        SecurityContext(run_as_user=1001, supplemental_groups=(2000, 3000)),
        config={"working_dir": "/work"},
    ),
    "nobody known": Case(SecurityContext(run_as_user=4711, run_as_group=815)),
    "hardened": Case(
        SecurityContext(
            run_as_user=1001, drop_capabilities=("ALL",), add_capabilities=("NET_BIND_SERVICE",),
            no_new_privileges=True, read_only_root=True, seccomp=DEFAULT,
        )
    ),
    "root under seccomp": Case(SecurityContext(seccomp=DEFAULT)),
    "privileged": Case(
        SecurityContext(privileged=True), sandbox={"security": SecurityContext(privileged=True)}
    ),
    "of the host": Case(
        sandbox={"network": NamespaceMode.NODE, "pid": NamespaceMode.NODE, "ipc": NamespaceMode.NODE}
    ),
    "shared processes": Case(sandbox={"pid": NamespaceMode.POD}),
    "limited": Case(
        config={"resources": Resources(
            cpu_shares=51, cpu_quota=20000, cpu_period=100000, memory_limit_bytes=64 << 20, oom_score_adj=900
        )}
    ),
    "with a terminal": Case(config={"tty": True}),
    "another home": Case(config={"env": {"HOME": "/elsewhere", "PATH": "/work:/bin", "A": "1"}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    for name, text in {
        "script": '#!/bin/sh\necho "$0 $@"\n',
        "bad-interpreter": "#!/no/such/shell\n",
        "text": "echo no first line\n",
        "self": "#!/proc/self/exe\n",
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    folder.chmod(0o755)
    return folder


class Pair:
    """Two runtimes on one engine: one that enters, one that asks."""

    def __init__(self, engine: Containerd) -> None:
        def runtime(way: str) -> CriRuntime:
            return CriRuntime(
                str(engine.socket), instance="pair",
                exec_probes="direct" if way == "direct" else "engine",
            )  # fmt: skip

        self.ways = {way: runtime(way) for way in ("engine", "direct")}
        self.left: list[str] = []
        """What commands were left to the engine."""
        assert self.direct._direct is not None
        enter = self.direct._direct.exec_sync

        async def noted(
            container_id: str, command: Sequence[str], timeout: float | None
        ) -> ExecResult | None:
            result = await enter(container_id, command, timeout)
            if result is None:
                self.left.append(command[0])
            return result

        self.direct._direct.exec_sync = noted  # type: ignore[method-assign]

    @property
    def direct(self) -> CriRuntime:
        return self.ways["direct"]

    async def run(
        self, container: str, command: list[str], timeout: float | None = 20
    ) -> dict[str, object]:
        return {
            way: await outcome(one, container, command, timeout) for way, one in self.ways.items()
        }


@contextlib.asynccontextmanager
async def containers(
    engine: Containerd, case: Case, work: Path, command: tuple[str, ...] = ("sleep", "3600")
) -> AsyncIterator[tuple[Pair, str]]:
    pair = Pair(engine)
    for runtime in pair.ways.values():
        await runtime.start()
    sandbox = await pair.direct.run_pod_sandbox(
        SandboxConfig("web", "default", os.urandom(4).hex(), hostname="web", **case.sandbox)  # type: ignore[arg-type]
    )
    try:
        config = ContainerConfig(
            "main", 0, "busybox", command=command, security=case.security,
            mounts=(Mount(str(work), "/work", read_only=True),), **case.config,  # type: ignore[arg-type]
        )  # fmt: skip
        container = await pair.direct.create_container(sandbox, config)
        await pair.direct.start_container(container)
        yield pair, container
    finally:
        await pair.direct.remove_pod_sandbox(sandbox)
        for runtime in pair.ways.values():
            await runtime.close()


async def outcome(
    runtime: CriRuntime, container: str, command: list[str], timeout: float | None
) -> object:
    try:
        result = await runtime.exec_sync(container, command, timeout)
    except RuntimeFailure as error:
        return type(error).__name__, sober(str(error))
    return result.exit_code, sober(result.stdout.decode()), sober(result.stderr.decode())


def sober(text: str) -> str:
    """Without pids, inodes and the engine's names for an execution, which are new each time."""
    text = re.sub(r"(pipe|socket):\[\d+\]", r"\1", text)
    text = re.sub(r'exec "[0-9a-f]{64}"', "exec ID", text)
    text = re.sub(r"(?m)^(0|\d+) (\d+) (\d+) (0|\d+) (-?\d+) ", session, text)
    return re.sub(r"(?m)^([0-9a-f]{8} [-IRDQ]{7})\s+\d+", r"\1 n", text)


def session(match: re.Match[str]) -> str:
    """Of /proc/self/stat: is the parent of ours, is the group its session, which terminal."""
    own = match[2] == match[3] != "0"
    return f"{match[1] == '0'} {own} tty {match[4]} {match[5]} "


@pytest.mark.parametrize("name", CASES)
def test_a_command_cannot_tell_who_started_it(
    name: str, containerd: Containerd, work: Path
) -> None:
    case = CASES[name]

    async def main() -> None:
        async with containers(containerd, case, work) as (pair, container):
            for what in COMMANDS if name == "plain" else ("who am I", "where am I"):
                found = await pair.run(container, COMMANDS[what])
                assert found["direct"] == found["engine"], f"{what}: {difference(found)}"
            assert pair.left == (NOT_EXECUTED if name == "plain" else [])

    uvloop.run(main())


def difference(found: dict[str, object]) -> list[str]:
    engine, direct = (str(found[way]).split("\\n") for way in ("engine", "direct"))
    return [line for line in difflib.ndiff(engine, direct) if line[0] in "+-"]


def entered(runtime: CriRuntime, container: str) -> bool:
    assert runtime._direct is not None
    return container in runtime._direct._open


def with_container(
    engine: Containerd,
    work: Path,
    check: Callable[[Pair, str], Awaitable[None]],
    case: Case | None = None,
) -> None:
    async def main() -> None:
        async with containers(engine, case or Case(), work) as (pair, container):
            await check(pair, container)

    uvloop.run(main())


def test_nothing_is_asked_of_the_engine(
    containerd: Containerd, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison above would hold as well if both ways were the engine's."""

    async def check(pair: Pair, container: str) -> None:
        await pair.direct.exec_sync(container, ["true"], 10)

        async def refuse(*_: object) -> None:
            raise AssertionError("the engine was asked")

        monkeypatch.setattr(pair.direct._client, "runtime", refuse)
        result = await pair.direct.exec_sync(container, ["echo", "hi"], 10)
        assert result.stdout == b"hi\n"
        monkeypatch.undo()

    with_container(containerd, work, check, CASES["root under seccomp"])


TOO_LONG = (
    "sleep 60",
    "sleep 60 & sleep 60 & wait",
    "trap '' TERM; sleep 60",
    "sleep 60 & exit 0",
)


def test_a_command_that_takes_too_long_is_killed_with_all_that_it_started(
    containerd: Containerd, work: Path
) -> None:
    async def check(pair: Pair, container: str) -> None:
        await pair.direct.exec_sync(container, ["true"], 10)
        for script in TOO_LONG:
            began = SystemClock().monotonic()
            with pytest.raises(ExecTimeout, match=r"command timed out after 0\.5s"):
                await pair.direct.exec_sync(container, ["sh", "-c", script], 0.5)
            assert SystemClock().monotonic() - began < 5, script
        seen = ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]
        left = (await pair.direct.exec_sync(container, seen, 5)).stdout
        assert b"sleep 3600" in left
        assert b"sleep 60 " not in left
        for script in TOO_LONG[::3]:
            with pytest.raises(ExecTimeout, match=r"command timed out after 0\.5s"):
                await pair.ways["engine"].exec_sync(container, ["sh", "-c", script], 0.5)

    with_container(containerd, work, check)


def test_probes_at_the_same_time_do_not_disturb_each_other(
    containerd: Containerd, work: Path
) -> None:
    async def check(pair: Pair, container: str) -> None:
        await pair.direct.exec_sync(container, ["true"], 10)
        before, dead = ours_open(), zombies()
        commands = [["sh", "-c", f"echo {n}; exit {n}"] for n in range(40)]
        runs = (pair.direct.exec_sync(container, command, 20) for command in commands)
        found = await asyncio.gather(*runs)
        assert [(r.exit_code, r.stdout) for r in found] == [(n, b"%d\n" % n) for n in range(40)]
        missing = (pair.direct.exec_sync(container, ["no-such-program"], 20) for _ in range(2))
        for problem in await asyncio.gather(*missing, return_exceptions=True):
            assert isinstance(problem, RuntimeFailure)
        assert ours_open() == before
        assert set(zombies()) <= set(dead)  # those of the rest of this test run are none of ours

    with_container(containerd, work, check)


def ours_open() -> list[str]:
    """The kinds of descriptor that a command takes; gRPC opens and closes others as it likes."""
    kinds = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            kinds.append(os.readlink(f"/proc/self/fd/{descriptor}").partition(":")[0])
    return sorted(kind for kind in kinds if kind in ("pipe", "/memfd"))


def zombies() -> list[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in map(int, children) if "Z (" in Path(f"/proc/{pid}/status").read_text()]


def test_a_container_that_has_ended_is_never_entered(containerd: Containerd, work: Path) -> None:
    async def check(pair: Pair, container: str) -> None:
        await pair.direct.exec_sync(container, ["true"], 10)
        assert entered(pair.direct, container)
        await pair.direct.stop_container(container, 0)
        for _ in range(200):
            if not entered(pair.direct, container):
                break
            await asyncio.sleep(0.01)
        assert not entered(pair.direct, container)
        found = await pair.run(container, ["true"])
        assert found["direct"] == found["engine"]
        assert isinstance(found["direct"], tuple)

    with_container(containerd, work, check)


def test_the_forking_process_is_replaced_when_it_is_gone(
    containerd: Containerd, work: Path
) -> None:
    async def check(pair: Pair, container: str) -> None:
        assert pair.direct._direct is not None
        await pair.direct.exec_sync(container, ["true"], 10)
        first = await pair.direct._direct._forker.pid()
        os.kill(first, 9)
        for _ in range(3):
            assert (await pair.direct.exec_sync(container, ["echo", "hi"], 10)).stdout == b"hi\n"
            await asyncio.sleep(0.02)
        assert await pair.direct._direct._forker.pid() != first
        assert entered(pair.direct, container)

    with_container(containerd, work, check)


def test_the_interpreter_that_forks_cannot_be_written_by_a_container(
    containerd: Containerd, work: Path
) -> None:
    """CVE-2019-5736: what /proc/PID/exe of a process in a container leads to is the machine's own file."""

    async def check(pair: Pair, container: str) -> None:
        assert pair.direct._direct is not None
        pid = await pair.direct._direct._forker.pid()
        assert os.statvfs(f"/proc/{pid}/exe").f_flag & os.ST_RDONLY
        assert not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY

    with_container(containerd, work, check)


def test_what_cannot_be_entered_is_said_once_and_left_to_the_engine(
    containerd: Containerd,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from podward.kubelet.runtime.cri import direct_exec
    from podward.kubelet.runtime.linux.unfaithful import Unfaithful

    def refuse(*_: object) -> None:
        raise Unfaithful("it is of another kind")

    monkeypatch.setattr(direct_exec, "plan_of", refuse)

    async def check(pair: Pair, container: str) -> None:
        for _ in range(2):
            assert (await pair.direct.exec_sync(container, ["echo", "hi"], 10)).stdout == b"hi\n"

    with caplog.at_level(logging.WARNING):
        with_container(containerd, work, check)
    assert [r.getMessage() for r in caplog.records if "of another kind" in r.getMessage()] != []
    assert caplog.text.count("of another kind") == 1
