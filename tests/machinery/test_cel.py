"""CEL: what can be said about a document, and what is refused before it is needed."""

import subprocess
import sys
from typing import Any

import pytest

from podward.machinery.cel import CelError, compile_expression

VARIABLES: dict[str, Any] = {
    "object": {
        "metadata": {"name": "Web", "labels": {"tier": "web"}, "annotations": {"a/b": "true"}},
        "spec": {
            "containers": [{"name": "app", "ports": [{"containerPort": 80}]}, {"name": "log"}]
        },
    },
    "oldObject": None,
    "request": {"operation": "CREATE", "dryRun": False, "userInfo": {"groups": ["system:masters"]}},
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("object.metadata.name == 'Web'", True),
        ("oldObject == null && object != null", True),
        ("has(object.metadata.labels) && object.metadata.labels['tier'] == 'web'", True),
        ("!('tier' in object.metadata.labels)", False),
        ("has(object.metadata.deletionTimestamp)", False),
        ("object.metadata.annotations['a/b'] != 'true'", False),
        ("object.spec.containers.all(c, size(c.name) == 3)", True),
        ("object.spec.containers.exists(c, has(c.ports) && c.ports.exists(p, p.containerPort > 79))", True),
        ("object.spec.containers.filter(c, c.name.startsWith('l')).size()", 1),
        ("request.operation in ['CREATE', 'UPDATE'] && !request.dryRun", True),
        ("'system:nodes' in request.userInfo.groups", False),
        ("object.metadata.name.matches('^W.b$')", True),
        ("object.metadata.name.lowerAscii()", "web"),
        ("'a,b'.split(',').map(x, x.upperAscii()).join('-')", "A-B"),
        ("' a '.trim().replace('a', 'b')", "b"),
        ("false && object.no.such", False),
        ("object.no.such || true", True),
    ],
)  # fmt: skip
def test_an_expression_has_a_value(source: str, value: object) -> None:
    expression = compile_expression(source, VARIABLES)
    assert expression.evaluate(VARIABLES) == value
    assert expression.evaluate(VARIABLES) == value


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("object.metadata.uid == ''", "no such key: uid"),
        ("object.metadata.labels['none'] == ''", "no such key: none"),
        ("object.spec.containers[7].name == ''", "index out of bounds: 7"),
        ("object.metadata.name + 1 == ''", r"string \+ int"),
        ("1 / 0 == 1", "division by zero"),
        ("object.metadata.lowerAscii() == ''", "lowerAscii"),
        ("oldObject.metadata.name == ''", "^No such overload[^.]*$"),
    ],
)
def test_what_has_no_value_says_why(source: str, why: str) -> None:
    with pytest.raises(CelError, match=why):
        compile_expression(source, VARIABLES).evaluate(VARIABLES)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("object.", "Syntax error"),
        ("", "Syntax error"),
        ("object.?metadata.orValue('')", r"unsupported syntax '\.\?'"),
        ("authorizer.group('').check('get').allowed()", "undeclared reference to 'authorizer'"),
        ("foo == 1", "undeclared reference to 'foo'"),
        ("quantity('1Gi').isInteger()", "undeclared reference to 'isInteger'"),
        ("'a'.find('b') == ''", "undeclared reference to 'find'"),
        ("cel.bind(x, 1, x == 1)", "undeclared reference to"),
        ("object" + ".a" * 2000, "longer than 2048 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(source: str, why: str) -> None:
    with pytest.raises(CelError, match=why):
        compile_expression(source, VARIABLES)


@pytest.mark.parametrize(
    "source",
    [
        "object" + ".a" * 1020, "!" * 2043 + "true", "-" * 2046 + "1", "(" * 1020 + "1" + ")" * 1020,
        "[" * 1020 + "]" * 1020, "+".join(["1"] * 1023), "||".join(["a"] * 600),
        "[1]" + ".map(x,[1]" * 190 + ")" * 190,
    ],
)  # fmt: skip
def test_no_expression_within_the_limit_brings_the_program_down(source: str) -> None:
    try:
        compile_expression(source, ["object", "a"]).evaluate(VARIABLES | {"a": False})
    except CelError:
        pass


def test_the_librarys_command_line_is_not_loaded() -> None:
    code = (
        "import sys; from podward.machinery.cel import compile_expression;"
        "assert compile_expression('1 + 1', []).evaluate({}) == 2;"
        "assert not {'typer', 'prompt_toolkit', 'rich', 'pygments'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"})
