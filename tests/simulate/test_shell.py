"""The simulator's shell against what POSIX, dash and busybox do; in virtual time."""

import asyncio
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.files import View
from podward.simulate.ports import Ports
from podward.simulate.processes import Collected, Group, Pipe
from podward.simulate.virtual_loop import run
from podward.simulate.world import World

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root", "GREETING": "hello you"}


def shell(
    script: str, *, seconds: float = 3600, signals: dict[float, int] | None = None
) -> tuple[int | None, str, str, float]:
    """(exit code or None if it still runs, stdout, stderr, virtual seconds)."""

    async def main() -> tuple[int | None, str, str, float]:
        loop = asyncio.get_running_loop()
        clock = LoopClock(datetime(2026, 1, 1, tzinfo=UTC))
        world = World(clock, Entropy(1))
        program = world.find("sh")
        assert program is not None
        files = View(world.new_files())
        group = Group(files, "host", "10.0.0.1", Ports(), clock.now, world.finder(files))
        out, err = Collected(), Collected()
        process = group.spawn(
            program, ["sh", "-c", script], env=ENVIRONMENT, cwd="/",
            stdin=Pipe(ended=True), stdout=out, stderr=err,
        )  # fmt: skip
        for at, number in (signals or {}).items():
            loop.call_later(at, process.signal, number)
        code: int | None = None
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
        except TimeoutError:
            pass
        ended = loop.time()
        process.exit(137)
        await asyncio.sleep(0)
        return code, out.data.decode(), err.data.decode(), ended

    return run(main())


SCRIPTS = [
    "echo a; echo b",
    "true && echo yes || echo no; false && echo yes || echo no",
    "! true; echo $?; ! false; echo $?",
    "x=1; y=$x$x; echo \"$y\" '$y' $y",
    'echo $GREETING; echo "$GREETING"; for w in $GREETING; do echo [$w]; done',
    "for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done",
    "i=0; while [ $i -lt 5 ]; do i=$((i+1)); [ $i -eq 4 ] && break; echo $i; done; echo end $i",
    "until false; do echo once; break; done",
    'case abc in x*) echo x;; a?c|z) echo "a?c";; *) echo other;; esac',
    "case x in y) echo y;; esac; echo $?",
    "if false; then echo a; elif true; then echo b; else echo c; fi",
    "f() { echo $1 $#; return 3; }; f one two; echo $?",
    "(x=2; exit 5); echo $? $x",
    "{ echo a; echo b; } | cat",
    "echo one two three | wc -w",
    "printf '%s-%d\\n' a 1 b 2",
    "echo -n a; echo b",
    "echo $((1 + 2 * 3)) $((7 / 2)) $((7 % 3)) $((1 < 2)) $(( (1 + 2) * 3 ))",
    "x=5; echo $((x * 2)) $((x += 1)) $x",
    "echo ${none:-fallback} ${GREETING:+set} ${#GREETING} ${GREETING% *} ${GREETING#* }",
    "echo ${none=assigned} $none",
    "x=$(echo inner; exit 4); echo $x $?",
    "echo `echo back`",
    "echo hi > /tmp/f; echo more >> /tmp/f; cat /tmp/f; cat < /tmp/f | head -1",
    "cat /tmp/none 2>/dev/null || echo failed",
    "ls /tmp/none >/dev/null 2>&1; test $? -ne 0 && echo failed",
    "cat <<EOF\n$GREETING\nEOF",
    "cat <<'EOF'\n$GREETING\nEOF",
    "test -e /tmp && test -d /tmp && ! test -f /tmp && echo dir",
    "[ -z '' ] && [ -n x ] && [ a != b ] && [ 2 -gt 1 ] && echo all",
    "[ 1 = 1 -a 2 = 2 ] && [ 1 = 2 -o 2 = 2 ] && echo both",
    "touch /tmp/a /tmp/b; echo /tmp/*; rm /tmp/a; ls /tmp; rm -rf /tmp/b",
    "echo /tmp/none*",
    "mkdir -p /tmp/x/y; echo v > /tmp/x/y/f; mv /tmp/x/y/f /tmp/g; cat /tmp/g; rm -r /tmp/x /tmp/g",
    "set -e; false || true; if false; then :; fi; echo on; false; echo never",
    "exit 300",
    "trap 'echo bye' EXIT; echo hi; exit 3",
    "sh -c 'kill -9 $$'; echo $?",
    "sh -c 'kill $$'; echo $?",
    "sh -c 'exit 7' & wait $!; echo $?",
    "sleep 0.1 & wait; echo waited $?",
    "kill -0 $$ && echo alive",
    "set -- a b c; echo $# $1 $3; shift; echo $1 $@",
    "export A=b; sh -c 'echo $A'; unset A; sh -c 'echo [$A]'",
    "A=c sh -c 'echo $A'; echo [$A]",
    "echo a | grep -q a && echo found; echo a | grep b || echo none",
    "seq 3; seq 2 4; date +%Y >/dev/null && echo dated",
    "exec echo replaced; echo never",
    "eval 'x=1; echo $x'",
    "read a b <<EOF\none two three\nEOF\necho $a:$b",
    'echo one > /tmp/l; echo two >> /tmp/l; while read l; do echo "<$l>"; done < /tmp/l; rm /tmp/l',
    "no-such-command 2>/dev/null; echo $?",
    "cd /tmp && pwd; cd /none 2>/dev/null || echo $?",
    'echo "a\\"b\\$c" \'d"e\' f\\ g',
    "true; echo $?; false; echo $?; echo $?",
]


def real_shell() -> str:
    found = shutil.which("busybox") or shutil.which("dash")
    if found is None:
        pytest.skip("NOT TESTED: neither busybox nor dash is here to compare with")
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_does_what_a_real_shell_does(script: str, tmp_path: Path) -> None:
    binary = real_shell()
    command = [binary, "sh"] if binary.endswith("busybox") else [binary]
    done = subprocess.run(
        [*command, "-c", script.replace("/tmp", str(tmp_path))], capture_output=True, text=True, timeout=20,
        env=ENVIRONMENT,
    )  # fmt: skip
    code, out, _, _ = shell(script)
    assert (code, out) == (done.returncode, done.stdout.replace(str(tmp_path), "/tmp"))


def test_the_notes_command_takes_its_time() -> None:
    script = "touch /tmp/healthy; sleep 30; rm -rf /tmp/healthy; sleep 600"
    assert shell(script) == (0, "", "", 630.0)


@pytest.mark.parametrize(
    ("script", "signals", "code", "at"),
    [
        ("sleep 600", {5: 15}, 0, 600.0),
        ("sleep 600", {5: 9}, 137, 5.0),
        ("trap 'exit 3' TERM; while true; do sleep 1; done", {5.5: 15}, 3, 6.0),
        ("trap '' TERM; sleep 10", {5: 15}, 0, 10.0),
        ("trap 'exit 0' TERM; sleep 600 & wait", {5: 15}, 0, 5.0),
        ("trap 'sleep 4; exit 0' TERM; while true; do sleep 1; done", {5.5: 15}, 0, 10.0),
        ("trap 'echo got' TERM; sleep 10; echo end", {5: 15}, 0, 10.0),
    ],
    ids=["PID 1 ignores TERM", "KILL", "a trap waits for the command", "ignored", "wait is interrupted",
         "a trap takes its time", "a trap that goes on"],
)  # fmt: skip
def test_signals(script: str, signals: dict[float, int], code: int, at: float) -> None:
    ended, _, _, when = shell(script, signals=signals)
    assert (ended, when) == (code, at)


def test_a_child_that_is_killed_tells_its_parent() -> None:
    script = "sleep 100 & pid=$!; sleep 1; kill $pid; wait $pid; echo $?"
    assert shell(script)[:2] == (0, "143\n")


def test_servers_listen_and_clients_ask() -> None:
    script = """
    echo index > /tmp/index.html
    httpd -f -p 8080 -h /tmp &
    sleep 1
    wget -q -O- http://localhost:8080/
    wget -q -O- http://localhost:8080/none || echo missing
    curl -sf http://127.0.0.1:8080/index.html && nc -z localhost 8080 && echo open
    kill $!; wait $!
    nc -z localhost 8080 || echo closed
    """
    code, out, _, _ = shell(script)
    assert (code, out) == (0, "index\nmissing\nindex\nopen\nclosed\n")


def test_a_loop_in_which_no_time_passes_is_an_error() -> None:
    code, _, err, _ = shell("while true; do :; done")
    assert code == 125
    assert "virtual time cannot pass" in err


def test_what_is_no_shell_program_is_said() -> None:
    code, _, err, _ = shell("if true; then echo")
    assert code == 2
    assert "syntax error" in err
