"""Shell text to a small tree. tree-sitter does the reading; its quirks end here.

It reads `a || b > f` as a redirection of the whole list and `a && b > f | c` as a pipeline of the list, where a
shell binds tighter; `parse` puts that right.
"""

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


class ShellSyntaxError(ValueError):
    """The text is no shell program, or uses what the simulator's shell does not have."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name`, `${name}`, `${#name}`, `${name:-word}`."""

    name: str
    quoted: bool = False
    operator: str = ""
    argument: "Word" = ()
    length: bool = False


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(...)`"""

    body: "Sequence"
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`$((...))`; the parts are expanded first, then calculated."""

    parts: "Word"


Part = Text | Parameter | Substitution | Arithmetic
Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    descriptor: int
    kind: Literal["<", ">", ">>", ">&", "<<"]
    target: Word


@dataclass(frozen=True, slots=True)
class Simple:
    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    commands: tuple["Command", ...]


@dataclass(frozen=True, slots=True)
class Not:
    command: "Command"


@dataclass(frozen=True, slots=True)
class AndOr:
    left: "Command"
    operator: Literal["&&", "||"]
    right: "Command"


@dataclass(frozen=True, slots=True)
class Sequence:
    """Commands one after another; `True` beside one that runs in the background."""

    items: tuple[tuple["Command", bool], ...]


@dataclass(frozen=True, slots=True)
class If:
    branches: tuple[tuple[Sequence, Sequence], ...]
    otherwise: Sequence


@dataclass(frozen=True, slots=True)
class While:
    condition: Sequence
    body: Sequence
    until: bool


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[Word, ...] | None
    body: Sequence


@dataclass(frozen=True, slots=True)
class Case:
    word: Word
    items: tuple[tuple[tuple[Word, ...], Sequence], ...]


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    body: "Command"


@dataclass(frozen=True, slots=True)
class Group:
    body: Sequence
    subshell: bool


@dataclass(frozen=True, slots=True)
class Redirected:
    command: "Command"
    redirects: tuple[Redirect, ...]


Command = (
    Simple
    | Pipeline
    | Not
    | AndOr
    | Sequence
    | If
    | While
    | For
    | Case
    | Function
    | Group
    | Redirected
)


@cache
def _parser() -> "Parser":
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


@lru_cache(maxsize=512)
def parse(text: str) -> Sequence:
    root = _parser().parse(text.encode()).root_node
    _check(root, text)
    return _sequence(root.children)


def _check(node: "Node", text: str) -> None:
    if not node.has_error:
        return
    for child in node.children:
        if child.type == "ERROR" and child.text not in (b";", b"&"):
            wrong = (child.text or b"").decode(errors="replace")
            raise ShellSyntaxError(f"sh: syntax error: unexpected {wrong!r} in {text!r}")
        if child.is_missing:
            raise ShellSyntaxError(f"sh: syntax error: {child.type} is missing in {text!r}")
        _check(child, text)


def _text(node: "Node") -> str:
    return (node.text or b"").decode(errors="replace")


def _sequence(nodes: list["Node"]) -> Sequence:
    items: list[tuple[Command, bool]] = []
    for node in nodes:
        if node.type == "&" and items:
            items[-1] = (items[-1][0], True)
        elif node.is_named and node.type not in ("comment", "ERROR", "heredoc_body"):
            items.append((_command(node), False))
    return Sequence(tuple(items))


def _command(node: "Node") -> Command:
    build = _COMMANDS.get(node.type)
    if build is None:
        raise ShellSyntaxError(f"the simulator's shell does not know {node.type}: {_text(node)!r}")
    command: Command = build(node)
    return command


def _simple(node: "Node") -> Simple:
    assignments: list[tuple[str, Word]] = []
    words: list[Word] = []
    redirects: list[Redirect] = []
    for child in node.children:
        if child.type == "variable_assignment":
            assignments.append(_assignment(child))
        elif child.type.endswith("_redirect"):
            redirects.append(_redirect(child))
        elif child.type == "command_name":
            words.append(_word(child.children[0]) if child.children else (Text(_text(child)),))
        elif child.is_named:
            words.append(_word(child))
        else:
            words.append((Text(_text(child)),))
    return Simple(tuple(assignments), tuple(words), tuple(redirects))


def _assignment(node: "Node") -> tuple[str, Word]:
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    assert name is not None
    return _text(name), _word(value) if value is not None else ()


def _lone_assignment(node: "Node") -> Simple:
    return Simple((_assignment(node),), ())


def _assignments(node: "Node") -> Simple:
    return Simple(tuple(_assignment(c) for c in node.named_children), ())


def _declaration(node: "Node") -> Simple:
    """`export A=b`: a command whose arguments are assignments."""
    words: list[Word] = []
    for child in node.children:
        if child.type == "variable_assignment":
            name, value = _assignment(child)
            words.append((Text(f"{name}="), *(_quoted(part) for part in value)))
        else:
            words.append(_word(child) if child.is_named else (Text(_text(child)),))
    return Simple((), tuple(words))


def _quoted(part: Part) -> Part:
    return part if isinstance(part, Arithmetic) else replace(part, quoted=True)


_EXPRESSIONS = ("unary_expression", "binary_expression", "parenthesized_expression")


def _test(node: "Node") -> Simple:
    """`[ ... ]` is a command like any other: its expression becomes words again."""
    words: list[Word] = []

    def flatten(child: "Node") -> None:
        if child.type in _EXPRESSIONS:
            for below in child.children:
                flatten(below)
        elif child.is_named and child.type != "test_operator":
            words.append(_word(child))
        else:
            words.append((Text(_text(child)),))

    for child in node.children:
        flatten(child)
    return Simple((), tuple(words))


def _pipeline(node: "Node") -> Command:
    commands = [_command(child) for child in node.children if child.is_named]
    return _piped(commands)


def _piped(commands: list[Command]) -> Command:
    first, rest = commands[0], commands[1:]
    if isinstance(first, AndOr) and rest:
        return replace(first, right=_piped([first.right, *rest]))
    if isinstance(first, Not):
        return Not(_piped([first.command, *rest]))
    return Pipeline(tuple(commands))


def _list(node: "Node") -> Command:
    left, operator, right = node.children
    kind: Literal["&&", "||"] = "&&" if operator.type == "&&" else "||"
    return AndOr(_command(left), kind, _command(right))


def _redirected(node: "Node") -> Command:
    body = node.child_by_field_name("body")
    redirects = tuple(_redirect(c) for c in node.children if c.type.endswith("_redirect"))
    command: Command = _command(body) if body is not None else Simple((), ())
    return _with_redirects(command, redirects)


def _with_redirects(command: Command, redirects: tuple[Redirect, ...]) -> Command:
    if isinstance(command, AndOr):
        return replace(command, right=_with_redirects(command.right, redirects))
    if isinstance(command, Pipeline):
        *before, last = command.commands
        return Pipeline((*before, _with_redirects(last, redirects)))
    if isinstance(command, Not):
        return Not(_with_redirects(command.command, redirects))
    if isinstance(command, Simple):
        return replace(command, redirects=(*command.redirects, *redirects))
    return Redirected(command, redirects)


def _redirect(node: "Node") -> Redirect:
    if node.type == "heredoc_redirect":
        body = next((c for c in node.children if c.type == "heredoc_body"), None)
        start = next((c for c in node.children if c.type == "heredoc_start"), None)
        raw = start is not None and _text(start)[:1] in "'\"\\"
        parts: Word = ()
        if body is not None:
            parts = (Text(_text(body), True),) if raw else _parts(body, quoted=True)
        return Redirect(0, "<<", parts)
    descriptor = node.child_by_field_name("descriptor")
    target = node.child_by_field_name("destination")
    operator = next(c.type for c in node.children if c.type not in ("file_descriptor", "word"))
    number = int(_text(descriptor)) if descriptor is not None else (0 if operator[0] == "<" else 1)
    word = _word(target) if target is not None else ()
    kinds: dict[str, Any] = {"<": "<", ">": ">", ">|": ">", ">>": ">>", ">&": ">&", "&>": "&>"}
    if operator not in kinds:
        raise ShellSyntaxError(f"the simulator's shell does not know {operator!r}")
    if operator == "&>":
        raise ShellSyntaxError("&> is bash's: write > FILE 2>&1")
    return Redirect(number, kinds[operator], word)


def _if(node: "Node") -> If:
    branches: list[tuple[Sequence, Sequence]] = []
    otherwise = Sequence(())
    branches.append(_branch(node))
    for child in node.children:
        if child.type == "elif_clause":
            branches.append(_branch(child))
        elif child.type == "else_clause":
            otherwise = _sequence(child.children)
    return If(tuple(branches), otherwise)


def _branch(node: "Node") -> tuple[Sequence, Sequence]:
    at = next(i for i, c in enumerate(node.children) if c.type == "then")
    body = [c for c in node.children[at + 1 :] if c.type not in ("elif_clause", "else_clause")]
    return _sequence(node.children[1:at]), _sequence(body)


def _while(node: "Node") -> While:
    body = node.child_by_field_name("body")
    assert body is not None
    at = next(i for i, c in enumerate(node.children) if c.type == "do_group")
    condition = _sequence(node.children[1:at])
    return While(condition, _sequence(body.children), node.children[0].type == "until")


def _for(node: "Node") -> For:
    name, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
    assert name is not None
    assert body is not None
    words = None
    if any(c.type == "in" for c in node.children):
        words = tuple(_word(c) for c in node.children_by_field_name("value"))
    return For(_text(name), words, _sequence(body.children))


def _case(node: "Node") -> Case:
    value = node.child_by_field_name("value")
    assert value is not None
    items = []
    for item in node.children:
        if item.type != "case_item":
            continue
        at = next(i for i, c in enumerate(item.children) if c.type == ")")
        patterns = tuple(_word(c) for c in item.children[:at] if c.is_named)
        items.append((patterns, _sequence(item.children[at + 1 :])))
    return Case(_word(value), tuple(items))


def _function(node: "Node") -> Function:
    name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    assert name is not None
    assert body is not None
    return Function(_text(name), _command(body))


def _unset(node: "Node") -> Simple:
    return Simple((), tuple((Text(_text(c)),) for c in node.children))


_COMMANDS: dict[str, Any] = {
    "command": _simple,
    "variable_assignment": _lone_assignment,
    "variable_assignments": _assignments,
    "declaration_command": _declaration,
    "unset_command": _unset,
    "test_command": _test,
    "pipeline": _pipeline,
    "list": _list,
    "negated_command": lambda node: Not(_command(node.named_children[0])),
    "redirected_statement": _redirected,
    "if_statement": _if,
    "while_statement": _while,
    "for_statement": _for,
    "case_statement": _case,
    "function_definition": _function,
    "subshell": lambda node: Group(_sequence(node.children), True),
    "compound_statement": lambda node: Group(_sequence(node.children), False),
}


# ---- words


def _word(node: "Node") -> Word:
    match node.type:
        case "concatenation":
            return tuple(part for child in node.children for part in _word(child))
        case "string":
            return _parts(node, quoted=True) or (Text("", True),)
        case "raw_string":
            return (Text(_text(node)[1:-1], True),)
        case "ansi_c_string":
            return (Text(_text(node)[2:-1].encode().decode("unicode_escape"), True),)
        case "simple_expansion" | "expansion" | "command_substitution" | "arithmetic_expansion":
            return (_expansion(node, quoted=False),)
        case "command_name":
            return tuple(part for child in node.children for part in _word(child))
    return _unescaped(_text(node))


def _unescaped(text: str) -> Word:
    """A bare word: what a backslash precedes is quoted."""
    parts: list[Part] = []
    plain = ""
    position = 0
    while position < len(text):
        if text[position] == "\\" and position + 1 < len(text):
            if plain:
                parts.append(Text(plain))
            plain = ""
            if text[position + 1] != "\n":
                parts.append(Text(text[position + 1], True))
            position += 2
        else:
            plain += text[position]
            position += 1
    if plain or not parts:
        parts.append(Text(plain))
    return tuple(parts)


def _parts(node: "Node", *, quoted: bool) -> Word:
    """What stands between the quotes; text that the parser has no node for included."""
    source, offset = node.text or b"", node.start_byte
    start = 1 if node.type == "string" else 0
    end = len(source) - start
    parts: list[Part] = []
    position = start

    def literal(until: int) -> None:
        raw = source[position:until].decode(errors="replace")
        if raw:
            parts.append(Text(_in_quotes(raw), quoted))

    for child in node.children:
        if child.type not in _EXPANSIONS:
            continue
        literal(child.start_byte - offset)
        parts.append(_expansion(child, quoted=quoted))
        position = child.end_byte - offset
    literal(end)
    return tuple(parts)


def _in_quotes(raw: str) -> str:
    out = ""
    position = 0
    while position < len(raw):
        if raw[position] == "\\" and raw[position + 1 : position + 2] in tuple('$`"\\\n'):
            out += "" if raw[position + 1] == "\n" else raw[position + 1]
            position += 2
        else:
            out += raw[position]
            position += 1
    return out


_EXPANSIONS = ("simple_expansion", "expansion", "command_substitution", "arithmetic_expansion")


def _expansion(node: "Node", *, quoted: bool) -> Part:
    match node.type:
        case "simple_expansion":
            return Parameter(_text(node)[1:], quoted)
        case "command_substitution":
            return Substitution(_sequence(node.children), quoted)
        case "arithmetic_expansion":
            return Arithmetic(_arithmetic(node))
    return _braces(node, quoted=quoted)


def _braces(node: "Node", *, quoted: bool) -> Parameter:
    inner = node.children[1:-1]
    if inner and inner[0].type == "#":
        return Parameter(_text(inner[1]), quoted, length=True)
    name = _text(inner[0])
    if len(inner) == 1:
        return Parameter(name, quoted)
    operator = _text(inner[1])
    return Parameter(name, quoted, operator, _argument(node, inner))


def _argument(node: "Node", inner: list["Node"]) -> Word:
    """What follows the operator; blanks, which the parser drops, belong to it."""
    source, offset = node.text or b"", node.start_byte
    position = inner[1].end_byte - offset
    parts: list[Part] = []
    for child in inner[2:]:
        gap = source[position : child.start_byte - offset].decode()
        parts += [Text(gap)] if gap else []
        parts += _word(child)
        position = child.end_byte - offset
    gap = source[position : len(source) - 1].decode()
    return (*parts, Text(gap)) if gap else tuple(parts)


def _arithmetic(node: "Node") -> Word:
    source, offset = node.text or b"", node.start_byte
    parts: list[Part] = []
    position = 3 if source.startswith(b"$((") else 2

    def visit(child: "Node") -> None:
        nonlocal position
        if child.type in _EXPANSIONS:
            raw = source[position : child.start_byte - offset].decode()
            parts.append(Text(raw, True))
            parts.append(_expansion(child, quoted=True))
            position = child.end_byte - offset
            return
        for below in child.children:
            visit(below)

    for child in node.children:
        visit(child)
    closing = 2 if source.endswith(b"))") else 1
    parts.append(Text(source[position : len(source) - closing].decode(), True))
    return tuple(parts)
