"""What never lets time pass is an error that names the line; what only looks endless is not."""

import pytest
from tests.simulate.shells import simulated


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("while true; do :; done", "sh: line 1: 'while true; do :; done' goes on without end"),
        ("echo a\nuntil false\ndo\n  :\ndone", "sh: line 2: 'until false' goes on without end"),
        ("f() { f; }; f", "calls itself without end"),
        ("f() { f & }; f; sleep 5", "without end"),
        ("b() { b | b & }; b; sleep 5", "processes already"),
        ("while true; do sleep 0; done", "without end"),
        ("while true; do (:); done", "without end"),
        ("while true; do true | cat; done", "without end"),
        ("while true; do echo x; done > /tmp/f", "without end"),
        ("yes > /dev/null", "yes goes on without end"),
        ("yes | cat", "without end"),
        ("cat /dev/zero > /tmp/f", "without end"),
        ("x=$(cat /dev/zero)", "without end"),
        ("until nc -z localhost 1; do :; done", "without end"),
        ("trap 'kill -USR1 $$' USR1; kill -USR1 $$", "nested too deeply"),
        ("wc -c /dev/zero", "has no end"),
        ("sort < /dev/zero", "has no end"),
        ("dd if=/dev/zero of=/tmp/f", "has no end"),
        ("dd if=/dev/zero of=/tmp/f bs=1G count=9", "too many"),
        ("seq 1 0 2", "never ends"),
        ("eval 'while :; do :; done'", "without end"),
    ],
)
def test_it_is_an_error_and_not_a_hang(script: str, said: str) -> None:
    done = simulated(script)
    assert said in done.problem


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("yes | head -n 2", "y\ny\n"),
        ("yes a b | head -c 5; echo", "a b\na\n"),
        ("cat /dev/zero | head -c 3 | wc -c", "3\n"),
        ("while true; do echo y; done | head -n 2", "y\ny\n"),
        ("while echo y; do :; done | (sleep 5; head -n 1)", "y\n"),
        ("yes | (sleep 5; head -n 1); date +%S", "y\n05\n"),
        ("yes | while read x; do echo $x; break; done", "y\n"),
        ("head -c 4 /dev/urandom | wc -c", "4\n"),
        ("tail -f /dev/null & sleep 1; kill $!; wait $!; echo $?", "143\n"),
        ("(while true; do sleep 1; done) & sleep 5; kill $!; echo ok", "ok\n"),
        (
            "until [ -f /tmp/ready ]; do sleep 1; done & sleep 3; touch /tmp/ready; wait $!; date +%S",
            "03\n",
        ),
        ("until [ -f /tmp/a ]; do :; done & touch /tmp/a; wait $!; echo $?", "0\n"),
        ("echo a > /tmp/l; tail -f /tmp/l & sleep 1.5; echo b >> /tmp/l; sleep 2", "a\nb\n"),
        ("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i", "20000\n"),
    ],
)
def test_what_comes_to_an_end_is_none(script: str, out: str) -> None:
    done = simulated(script)
    assert (done.out, done.problem) == (out, "")
