"""Scripts by dice in the simulator's shell and in busybox's: same output, same exit code, same files left.

PODWARD_SHELL_SCRIPTS=5000 tries more of them.
"""

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.simulate.shells import real, simulated

ALWAYS_ALIKE = "PODWARD_SHELL_SCRIPTS" not in os.environ
PREPARED = """cd /tmp
n=1 x='a b' y=''
f() { echo "f$#:$*"; }
set -- one 'two three'"""
SCRIPTS = int(os.environ.get("PODWARD_SHELL_SCRIPTS", "150"))

NAMES = ("x", "y", "long_name", "GREETING", "none")
TEXTS = (
    "a",
    "b",
    "1",
    "07",
    "-5",
    "a b",
    "  a  ",
    "*",
    "a*",
    "?",
    "[ab]",
    "/tmp/f",
    "~",
    "x=y",
    "\\",
    "",
    "a:b",
    "if",
    "a;b",
    "$",
    "#c",
    "a#b",
    "{",
    "}",
    "!",
    "-n",
    "-e",
    "é",
    "a\tb",
    "%s",
    "\\n",
    "]",
    "(",
)
PATTERNS = ("*", "?", "a*", "*b", "[a-c]*", "[!a]*", "1", "'*'", '"a"*', "\\*", "", "*[0-9]", "* *")
FILES = ("/tmp/f", "/tmp/g", "/tmp/d/h", "/tmp/none/x", "/tmp")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def double_quoted(text: str) -> str:
    for char in ("\\", "$", "`", '"'):
        text = text.replace(char, "\\" + char)
    return f'"{text}"'


def bare(text: str) -> str:
    return "".join(c if c.isalnum() or c in "*?[]/-:.é" else "\\" + c for c in text) or "''"


texts = st.sampled_from(TEXTS).flatmap(
    lambda text: st.sampled_from([quoted(text), double_quoted(text), bare(text)])
)
names = st.sampled_from(NAMES)
special = st.sampled_from(
    ["$?", "$#", "$*", "$@", '"$@"', '"$*"', "$1", "${2}", '"$3"', "${#}", "${@:-none}"]
)


@st.composite
def parameters(draw: st.DrawFn) -> str:
    name = draw(st.one_of(names, st.sampled_from(["1", "2"])))
    operator = draw(
        st.sampled_from(
            ["", "", "", "#L", ":-", "-", ":+", "+", ":=", "=", "#", "##", "%", "%%", "/", "//"]
        )
    )
    if operator == "#L":
        inner = f"${{#{name}}}"
    elif operator in ("/", "//"):
        old, new = draw(st.sampled_from(["a", "b", "[ab]", " "])), draw(st.sampled_from(["X", ""]))
        inner = f"${{{name}{operator}{old}/{new}}}"
    elif operator in ("#", "##", "%", "%%"):
        inner = f"${{{name}{operator}{draw(st.sampled_from(PATTERNS))}}}"
    elif operator:
        operator = operator.replace("=", "-") if name.isdigit() else operator
        inner = f"${{{name}{operator}{draw(st.one_of(texts, words_in_braces))}}}"
    else:
        inner = draw(st.sampled_from([f"${name}", f"${{{name}}}"]))
    return f'"{inner}"' if draw(st.booleans()) and "'" not in inner and '"' not in inner else inner


words_in_braces = st.sampled_from(["a b", "$x", '"$x y"', "$(echo q r)", "${y:-z w}", ""])


@st.composite
def sums(draw: st.DrawFn) -> str:
    leaf = st.one_of(st.integers(0, 20).map(str), st.sampled_from(["n", "m", "$n", "unset_one"]))
    tree = st.recursive(
        leaf,
        lambda below: st.one_of(
            st.tuples(
                below,
                st.sampled_from(
                    ["+", "-", "*", "<", ">", "==", "!=", "&", "|", "^", "&&", "||", "<<"]
                ),
                below,
            ).map(" ".join),
            below.map(lambda b: f"({b})"),
            below.map(lambda b: f"!{b}"),
            st.tuples(below, below, below).map(lambda t: f"{t[0]} ? {t[1]} : {t[2]}"),
        ),
        max_leaves=5,
    )
    return f"$(({draw(tree)}))"


words = st.one_of(
    texts,
    parameters(),
    special,
    sums(),
    st.tuples(texts, parameters()).map("".join),
    st.tuples(parameters(), texts).map("".join),
    st.sampled_from(
        ["$(echo a b)", '"$(echo a  b)"', "`echo c`", "$(cat /tmp/f)", "/tmp/*", "$(false)"]
    ),
)
argument_lists = st.lists(words, min_size=0, max_size=3).map(" ".join)


CONDITIONS = (
    "true",
    "false",
    ":",
    "! true",
    "! false",
    "! f",
    "grep -q a /tmp/f",
    "! grep -q a /tmp/f",
)
TESTED_FILES = (*FILES, "$x", '"$x"')


@st.composite
def conditions(draw: st.DrawFn) -> str:
    def pick(*choices: str) -> str:
        return draw(st.sampled_from(choices))

    match draw(st.integers(0, 4)):
        case 0:
            return pick(*CONDITIONS)
        case 1:
            return f"[ -{pick(*'efdsrzn')} {pick(*TESTED_FILES)} ]"
        case 2:
            return f'[ "${draw(names)}" {pick("=", "!=")} {draw(texts)} ]'
        case 3:
            return f"[ $n -{pick('lt', 'gt', 'eq', 'ne', 'le', 'ge')} {draw(st.integers(-1, 4))} ]"
    return f"test {draw(words)} {pick('-a', '-o')} {draw(texts)}"


redirections = st.sampled_from(
    [
        "",
        "",
        "",
        "",
        " > /tmp/f",
        " >> /tmp/f",
        " > /tmp/g 2>/dev/null",
        " 2>/dev/null",
        " < /tmp/f",
        " >&2",
        " > /tmp/none/x",
        " < /tmp/missing",
    ]
)
COMMANDS = (
    "cat /tmp/f",
    "cat",
    "rm -f /tmp/f",
    "touch /tmp/g",
    "mkdir -p /tmp/d",
    "ls /tmp",
    "true",
    "false",
    "(exit 3)",
    "sh -c 'exit 4'",
    "nonexistent",
    "shift",
    "wc -l",
    "eval 'echo $x'",
    "eval echo $y",
    "eval 'x=e; echo $x'",
)
SETTINGS = (
    "set -f",
    "set +f",
    "set -u",
    "set +e",
    "unset x",
    "export y",
    "IFS=:",
    "unset IFS",
    "trap 'echo bye' EXIT",
    "cd /tmp",
    "sleep 0 & wait $!",
    "unset -f f",
    """x=new sh -c 'echo "[$x$y]"'""",
)
LINES = ("a b c", " a ", "$x $(echo q)", "one", "", "a\\\\b c")


@st.composite
def simple(draw: st.DrawFn) -> str:
    def pick(*choices: str) -> str:
        return draw(st.sampled_from(choices))

    arguments = draw(argument_lists)
    match draw(st.integers(0, 13)):
        case 0 | 1 | 2:
            text = f"echo {arguments}"
        case 3:
            text = f"printf '<%s>\\n' {arguments}"
        case 4:
            return f"{draw(names)}={draw(words)}"
        case 5:
            return f"n=$((n {pick('+', '-', '*')} {draw(st.integers(0, 3))}))"
        case 6:
            text = f"f {arguments}"
        case 7 | 8:
            text = pick(*COMMANDS)
        case 9:
            return f"set -- {arguments}"
        case 10:
            text = f'for v in {arguments}; do echo "v=$v"; done'
        case 11:
            return f"read x y <<EOF\n{pick(*LINES)}\nEOF"
        case 12:
            return pick(*SETTINGS)
        case _:
            text = draw(conditions())
    return text + draw(redirections)


READERS = ("cat", "wc -l", 'while read l; do echo "<$l>"; done', "head -n 1")
LOOP_ENDS = (":", "break", "continue", "[ $n = 2 ] && continue")
DOCUMENT = "${x:-d} \"q\" 'r' $(echo s) \\$n $((n+1))"


def compound(below: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    @st.composite
    def build(draw: st.DrawFn) -> str:
        a, b, c = draw(below), draw(below), draw(below)
        condition, redirection, arguments = (
            draw(conditions()),
            draw(redirections),
            draw(argument_lists),
        )
        end, reader = draw(st.sampled_from(LOOP_ENDS)), draw(st.sampled_from(READERS))
        first, second = (draw(st.sampled_from(PATTERNS)) or "''" for _ in range(2))
        number = draw(st.integers(0, 3))
        i = f"i{draw(st.integers(0, 10**6))}"  # a loop within a loop must not count the other's turns
        return draw(
            st.sampled_from(
                [
                    f"if {condition}; then\n{a}\nelse\n{b}\nfi",
                    f"if {condition}\nthen\n{a}\nelif test $n = {number}; then {b}\nfi{redirection}",
                    f"{i}=0\nwhile [ ${i} -lt 3 ]; do\n{i}=$(({i}+1))\n{end}\n{a}\ndone{redirection}",
                    f"until [ $(({i} += 1)) -gt {number} ]; do\n{a}\n{end}\n{b}\ndone",
                    f"for {i} in {arguments}; do\n{a}\n{end}\n{b}\ndone",
                    f"case {draw(words)} in\n{first})\n{a}\n;;\n({second}|z)\n{b}\n;;\nesac",
                    f"g{i}() {{\n{a}\nreturn {number}\n}}\n{b}\ng{i} {arguments}",
                    f"g{i}() {{\nlocal x=in\n{a}\n}}\ng{i} {arguments}{redirection}\n{b}",
                    f"(\n{a}\n{b}\n){redirection}",
                    f"{{\n{a}\n{b}\n}}{redirection}",
                    f"{condition} && {{\n{a}\n}} || {{\n{b}\n}}",
                    f"{{\n{a}\n}} | {reader}",
                    f'x=$(\n{a}\n)\necho "$?$x"',
                    f"cat <<EOF | {reader}\n{DOCUMENT}\nEOF\n{a}",
                    f"! {{\n{a}\n}}\necho $?",
                    f"{a}\n{b}\n{c}",
                ]
            )
        )

    return build()


scripts = st.recursive(simple(), compound, max_leaves=6)
beginnings = st.sampled_from(["", "", "", "set -e\n", "set -u\n", "set -eu\n", "set -o pipefail\n"])


@settings(
    max_examples=SCRIPTS,
    derandomize=ALWAYS_ALIKE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(beginnings, scripts)
def test_scripts_by_dice_do_what_they_do_in_busybox(beginning: str, script: str) -> None:
    text = f"{beginning}{PREPARED}\n{script}\necho end $?"
    note(text)
    ours = simulated(text)
    with tempfile.TemporaryDirectory(prefix="podward-shell-") as folder:
        assert ours == real(text, Path(folder))
