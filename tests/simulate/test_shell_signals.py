"""Signals and time: who hears what, when a trap runs, and to the microsecond how long it all takes."""

import pytest
from tests.simulate.shells import simulated

TERM, KILL, USR1 = 15, 9, 10


@pytest.mark.parametrize(
    ("script", "signals", "code", "at"),
    [
        ("sleep 600", {5: TERM}, 0, 600.0),
        ("exec sleep 600", {5: TERM}, 0, 600.0),
        ("sleep 600", {5: KILL}, 137, 5.0),
        ("trap 'exit 3' TERM; while true; do sleep 1; done", {5.5: TERM}, 3, 6.0),
        ("trap '' TERM; sleep 10", {5: TERM}, 0, 10.0),
        ("trap 'exit 0' TERM; sleep 600 & wait", {5: TERM}, 0, 5.0),
        ("trap 'exit 0' TERM; sleep 600 & wait $!", {5: TERM}, 0, 5.0),
        ("trap 'sleep 4; exit 0' TERM; while true; do sleep 1; done", {5.5: TERM}, 0, 10.0),
        ("trap 'echo got' TERM; sleep 10; echo end", {5: TERM}, 0, 10.0),
        ("trap 'echo got' TERM; sleep 100 & wait; exit $?", {5: TERM}, 143, 5.0),
        ("trap 'echo got' USR1; sleep 100 & wait $!; exit $?", {5: USR1}, 138, 5.0),
        ("trap 'exit 4' TERM; exec sleep 10", {5: TERM}, 0, 10.0),
        ("trap - TERM; sleep 10", {5: TERM}, 0, 10.0),
        ("sleep 3 & sleep 5 & wait; exit 6", {}, 6, 5.0),
        ("sleep 8 | sleep 3", {}, 0, 8.0),
        ("timeout 5 sleep 100 & wait $!", {}, 143, 5.0),
        ("timeout 5 sh -c \"trap '' TERM; sleep 7; exit 2\" & wait $!", {}, 2, 7.0),
        ("timeout -k 1 5 sh -c \"trap '' TERM; sleep 100\" & wait $!", {}, 137, 6.0),
        ("timeout 5 sleep 2", {}, 0, 2.0),
        ("x=$(sleep 2; echo a); sleep 1; (sleep 1); { sleep 1; }", {}, 0, 5.0),
        ("x=$(sleep 9 & echo a)", {}, 0, 9.0),
        ("(sleep 9 > /dev/null & echo a) | cat", {}, 0, 0.0),
        ("(sleep 9 & echo a) | cat", {}, 0, 9.0),
    ],
    ids=[
        "PID 1 ignores TERM",
        "and what it became too",
        "KILL",
        "a trap waits for the command",
        "ignored",
        "wait is interrupted",
        "wait for one is interrupted",
        "a trap takes its time",
        "a trap that goes on",
        "wait tells the signal",
        "whichever it is",
        "exec ends a trap",
        "the default again",
        "wait waits for all",
        "a pipeline waits for all of it",
        "timeout",
        "a timeout that is ignored",
        "a timeout that kills",
        "a timeout that is not reached",
        "what runs within takes its time",
        "a substitution waits for its pipe",
        "a pipe that is let go",
        "a pipe that is held",
    ],
)
def test_signals_and_time(script: str, signals: dict[float, int], code: int, at: float) -> None:
    done = simulated(script, signals=signals)
    assert (done.code, done.at, done.problem) == (code, at, "")


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("sleep 100 & pid=$!; sleep 1; kill $pid; wait $pid; echo $?", "143\n"),
        ("(sleep 100) & pid=$!; sleep 1; kill -9 $pid; wait $pid; echo $?", "137\n"),
        ("sh -c 'sleep 100; true' & sleep 1; killall sleep; wait $!; echo $?", "0\n"),
        ("sh -c 'sleep 100; exit 5' & sleep 1; pkill sleep; wait $!; echo $?", "5\n"),
        ("sleep 50 & sleep 60 & sleep 1; killall sleep; wait; pgrep sleep || echo none", "none\n"),
        ("sh -c 'sleep 100 & wait' & sleep 1; kill $!; sleep 1; pgrep -x sleep", "4\n"),
        ("sleep 1 & kill -0 $!; echo $?; wait; kill -0 $! 2>/dev/null; echo $?", "0\n1\n"),
        ("trap 'echo hup' HUP; kill -HUP $$; echo on", "hup\non\n"),
        ("trap 'echo a' TERM; kill $$; kill $$; echo b", "a\na\nb\n"),
        ("kill -9 $$; echo still", "still\n"),
        ("sh -c 'kill -9 $$; echo never'; echo $?", "137\n"),
        (
            "sleep 5 & kill -STOP $!; sleep 20; kill -0 $! && echo stopped; kill -CONT $!; wait $!; echo $?",
            "stopped\n0\n",
        ),
        ("sleep 5 & kill -INT $!; wait $!; echo $?", "0\n"),
        (
            "sleep 50 & sleep 60 & sleep 1; kill %1; wait %1; echo $?; kill %2; wait; pgrep sleep",
            "143\n",
        ),
        (
            "sleep 50 & sleep 60 & sleep 1; kill $(jobs -p); wait; pgrep sleep || echo none",
            "none\n",
        ),
        ("(trap 'echo bye' EXIT; kill -9 $(sh -c 'echo $PPID'))", ""),
        ("trap 'echo t' TERM; (sleep 1; kill 1) & sleep 5; echo end", "t\nend\n"),
        ("setsid sh -c 'sleep 50 & sleep 60 & kill 0'; echo $?", "143\n"),
        ("nohup sleep 5 & sleep 1; kill -HUP $!; wait $!; echo $?", "0\n"),
        (
            "sleep 1; sh -c 'sleep 9 & echo $!' > /tmp/p; kill $(cat /tmp/p); pgrep sleep; echo $?",
            "1\n",
        ),
        (
            "sleep 30 & cat /proc/$!/comm; test -d /proc/$! && echo there\n"
            "kill $!; wait; test -d /proc/$! || echo gone",
            "sleep\nthere\ngone\n",
        ),
    ],
)
def test_who_hears_a_signal(script: str, out: str) -> None:
    done = simulated(script)
    assert (done.out, done.problem) == (out, "")


def test_when_pid_1_ends_everything_does() -> None:
    done = simulated("(while true; do sleep 1; echo tick; done) & sleep 3.5; exit 2")
    assert (done.code, done.out, done.at) == (2, "tick\ntick\ntick\n", 3.5)


@pytest.mark.parametrize(
    ("script", "at"),
    [
        ("i=0; while [ $i -lt 100000 ]; do sleep 0.1; i=$((i+1)); done", 10_000.0),
        ("for i in $(seq 1000); do usleep 333; done", 0.333),
        ("for i in 1 2 3; do sleep 0.000001; done", 0.000003),
        ("sleep 1m; sleep 1h 1s; sleep .5", 3661.5),
    ],
)
def test_time_does_not_drift(script: str, at: float) -> None:
    assert simulated(script, seconds=20_000).at == pytest.approx(at, abs=1e-9)


def test_a_probe_sees_the_files_and_processes_of_the_container() -> None:
    done = simulated(
        "touch /tmp/healthy; sleep 30; rm /tmp/healthy; sleep 600",
        probes={
            29.9: "cat /tmp/healthy; echo $?",
            30.1: "cat /tmp/healthy; echo $?; cat /proc/1/comm",
        },
        seconds=40,
    )
    assert (done.code, done.out) == (None, "0\n1\nsleep\n")


def test_times_of_change_are_virtual() -> None:
    script = """
    touch /tmp/a; date +%s; sleep 30; find /tmp -name a -mmin -1; stat -c %Y /tmp/a; date -r /tmp/a +%s
    sleep 40; find /tmp -name a -mmin -1 | wc -l; find /tmp -name a -mmin +0; touch /tmp/b
    [ /tmp/b -nt /tmp/a ] && echo newer; echo x >> /tmp/a; [ /tmp/a -nt /tmp/b ] || echo same
    date +%T; date -Iseconds
    ls -l /tmp/b
    """
    done = simulated(script)
    assert done.problem == ""
    assert done.out == (
        "1767225600\n/tmp/a\n1767225600\n1767225600\n0\n/tmp/a\nnewer\nsame\n00:01:10\n2026-01-01T00:01:10+00:00\n"
        "-rw-r--r--    1 root     root             0 Jan  1 00:01 /tmp/b\n"
    )


def test_the_same_script_gives_the_same_bytes() -> None:
    script = "echo $RANDOM $$; mktemp /tmp/x.XXXXXX; sleep $((RANDOM % 7)); date +%s.%N; ls /tmp"
    assert simulated(script).out == simulated(script).out != ""
