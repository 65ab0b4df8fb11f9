"""The simulator's shell against what busybox does, line by line; in virtual time."""

from pathlib import Path

import pytest
from tests.simulate.shells import real, simulated

LINES = [
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


SCRIPTS = (Path(__file__).parent / "scripts.txt").read_text().strip("\n").split("\n%%\n")


@pytest.mark.parametrize("script", [*LINES, *SCRIPTS])
def test_it_does_what_a_real_shell_does(script: str, tmp_path: Path) -> None:
    assert simulated(script) == real(script, tmp_path)


def test_the_notes_command_takes_its_time() -> None:
    script = "touch /tmp/healthy; sleep 30; rm -rf /tmp/healthy; sleep 600"
    done = simulated(script)
    assert (done.code, done.out, done.err, done.at) == (0, "", "", 630.0)


def test_what_is_no_shell_program_is_said() -> None:
    done = simulated("if true; then echo")
    assert done.code == 2
    assert "syntax error" in done.err
