"""Tokens to the tree. tree-sitter-bash knows the grammar; it never sees a word.

It is made for editors: it reads bash, guesses within words, and takes `[ ! a ]`, `for x in;` or two
here-documents on a line for mistakes. So each word and redirection is cut out first (`words`), a placeholder
stands for it (`w7`, `>r8`), and what tree-sitter reads is the bare grammar. It also takes `a || b > f` for a
redirection of the whole list and `a && b | c` for a pipeline of the list, where a shell binds tighter: put
right here.
"""

from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from podward.simulate.shell.syntax import (
    AndOr,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Not,
    Pipeline,
    Redirect,
    Redirected,
    Sequence,
    ShellSyntaxError,
    Simple,
    Text,
    While,
    Word,
)
from podward.simulate.shell.words import Reader, Token, assignment

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


@cache
def _parser() -> "Parser":
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


@lru_cache(maxsize=1024)
def parse(text: str) -> Sequence:
    return _tree(Reader(text, _tree).read())


def _tree(tokens: list[Token]) -> Sequence:
    return _Builder(tokens).build()


class _Builder:
    """One program: its tokens, and the tree of the skeleton they make."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._lines: dict[int, int] = {}
        """Where a token begins in the skeleton -> its line in the script."""

    def build(self) -> Sequence:
        root = _parser().parse(self._skeleton().encode()).root_node
        self._check(root)
        return self._sequence(root.children)

    def _skeleton(self) -> str:
        out = ""
        previous = ""
        for index, token in enumerate(self._tokens):
            shown = {"word": f"w{index}", "redirect": f">r{index}"}.get(token.kind, token.text)
            if token.kind == "reserved":
                shown, previous = self._reserved(shown, previous, index), token.text
            elif token.text == "\n" and previous == "()":
                continue  # `f()` and its body on the next line
            else:
                previous = "()" if token.text == ")" and previous == "(" else token.text
            self._lines[len(out)] = token.line
            out += f"{shown} " if shown != "\n" else "\n"
        return out + "\n"

    def _reserved(self, shown: str, previous: str, index: int) -> str:
        following = self._tokens[index + 1] if index + 1 < len(self._tokens) else None
        if shown == "in" and following is not None and following.text in (";", "\n"):
            return "in none" if self._loops_over(index) else shown
        if shown == "do" and previous not in (";", "\n"):
            return "; do" if index > 1 and self._tokens[index - 2].text == "for" else shown
        if shown == "!":
            return "negated &&"  # tree-sitter takes the `{` of `! {` for a word
        return "" if shown == "function" else shown

    def _loops_over(self, index: int) -> bool:
        return index > 1 and self._tokens[index - 2].text == "for"

    def _check(self, node: "Node") -> None:
        if not node.has_error:
            return
        for child in node.children:
            if child.type == "ERROR":
                raise ShellSyntaxError(f"syntax error: unexpected {self._said(child)}")
            if child.is_missing:
                raise ShellSyntaxError(f"syntax error: {child.type!r} is missing")
            self._check(child)

    def _said(self, node: "Node") -> str:
        first = _text(node).split()
        if not first:
            return "end of file"
        return repr(self._tokens[int(first[0][1:])].text if first[0][1:].isdigit() else first[0])

    def _line(self, node: "Node") -> int:
        return self._lines.get(node.start_byte, 0)

    def _word(self, node: "Node") -> Word:
        return self._tokens[int(_text(node)[1:])].word

    def _redirects(self, node: "Node") -> tuple[Redirect, ...]:
        found = (
            self._tokens[int(_text(child).lstrip("> r"))].redirect
            for child in node.children
            if child.type == "file_redirect"
        )
        return tuple(redirect for redirect in found if redirect is not None)

    # ---- commands

    def _sequence(self, nodes: list["Node"]) -> Sequence:
        items: list[tuple[Command, bool]] = []
        for node in nodes:
            if node.type == "&":
                if not items or items[-1][1]:
                    raise ShellSyntaxError("syntax error: unexpected '&'")
                items[-1] = (items[-1][0], True)
            elif node.is_named:
                items.append((self._command(node), False))
        return Sequence(tuple(items))

    def _command(self, node: "Node") -> Command:
        build = _COMMANDS.get(node.type)
        if build is None:
            raise ShellSyntaxError(f"syntax error: unexpected {self._said(node)}")
        command: Command = build(self, node)
        return command

    def _simple(self, node: "Node") -> Command:
        if _text(node) == "negated":
            return _NEGATION
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        for child in node.children:
            if child.type not in ("command_name", "word"):
                continue
            word = self._word(child)
            found = assignment(word) if not words else None
            if found is not None:
                assignments.append(found)
            else:
                words.append(word)
        return Simple(tuple(assignments), _declared(words), self._redirects(node), self._line(node))

    def _pipeline(self, node: "Node") -> Command:
        return _piped([self._command(child) for child in node.children if child.is_named])

    def _list(self, node: "Node") -> Command:
        left, operator, right = node.children
        kind: Literal["&&", "||"] = "&&" if operator.type == "&&" else "||"
        return _joined(self._command(left), kind, self._command(right))

    def _redirected(self, node: "Node") -> Command:
        body = node.child_by_field_name("body")
        redirects = self._redirects(node)
        if body is None:
            return Simple((), (), redirects, self._line(node))
        return _with_redirects(self._command(body), redirects)

    def _if(self, node: "Node") -> If:
        branches = [self._branch(node)]
        otherwise = Sequence(())
        for child in node.children:
            if child.type == "elif_clause":
                branches.append(self._branch(child))
            elif child.type == "else_clause":
                otherwise = self._sequence(child.children)
        return If(tuple(branches), otherwise)

    def _branch(self, node: "Node") -> tuple[Sequence, Sequence]:
        at = next(i for i, c in enumerate(node.children) if c.type == "then")
        body = [c for c in node.children[at + 1 :] if c.type not in ("elif_clause", "else_clause")]
        return self._sequence(node.children[1:at]), self._sequence(body)

    def _while(self, node: "Node") -> While:
        at = next(i for i, c in enumerate(node.children) if c.type == "do_group")
        condition = self._sequence(node.children[1:at])
        body = self._sequence(node.children[at].children)
        return While(condition, body, node.children[0].type == "until", self._line(node))

    def _for(self, node: "Node") -> For:
        name, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        assert name is not None
        assert body is not None
        words = None
        if any(c.type == "in" for c in node.children):
            values = node.children_by_field_name("value")
            words = tuple(self._word(c) for c in values if _text(c) != "none")
        variable = self._tokens[int(_text(name)[1:])].text
        return For(variable, words, self._sequence(body.children))

    def _case(self, node: "Node") -> Case:
        value = node.child_by_field_name("value")
        assert value is not None
        items = []
        for item in node.children:
            if item.type != "case_item":
                continue
            at = next(i for i, c in enumerate(item.children) if c.type == ")")
            patterns = tuple(self._word(c) for c in item.children[:at] if c.is_named)
            items.append((patterns, self._sequence(item.children[at + 1 :])))
        return Case(self._word(value), tuple(items))

    def _function(self, node: "Node") -> Function:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        assert name is not None
        assert body is not None
        command = _with_redirects(self._command(body), self._redirects(node))
        return Function(self._tokens[int(_text(name)[1:])].text, command)

    def _subshell(self, node: "Node") -> Group:
        return Group(self._sequence(node.children), True)

    def _group(self, node: "Node") -> Group:
        return Group(self._sequence(node.children), False)


_COMMANDS: dict[str, Any] = {
    "command": _Builder._simple,
    "pipeline": _Builder._pipeline,
    "list": _Builder._list,
    "redirected_statement": _Builder._redirected,
    "if_statement": _Builder._if,
    "while_statement": _Builder._while,
    "for_statement": _Builder._for,
    "case_statement": _Builder._case,
    "function_definition": _Builder._function,
    "subshell": _Builder._subshell,
    "compound_statement": _Builder._group,
}
"""tree-sitter's names."""


def _text(node: "Node") -> str:
    return (node.text or b"").decode()


_DECLARING = ("export", "readonly", "local")


def _declared(words: list[Word]) -> tuple[Word, ...]:
    """The arguments of `export A=$b` are assignments: nothing in them is split."""
    if words and len(words[0]) == 1 and words[0][0] in [Text(name) for name in _DECLARING]:
        return (words[0], *(_whole(word) if assignment(word) else word for word in words[1:]))
    return tuple(words)


def _whole(word: Word) -> Word:
    return tuple(replace(part, quoted=True) for part in word)


_NEGATION = Pipeline(())
"""`! x` is handed to tree-sitter as `negated && x`."""


def _joined(left: Command, operator: Literal["&&", "||"], right: Command) -> Command:
    if right is _NEGATION and (left is _NEGATION or _ends_negated(left)):
        raise ShellSyntaxError("syntax error: unexpected '!'")
    if left is _NEGATION:
        return Not(right)
    if isinstance(left, AndOr) and left.right is _NEGATION:
        return AndOr(left.left, left.operator, Not(right))
    return AndOr(left, operator, right)


def _ends_negated(command: Command) -> bool:
    return isinstance(command, AndOr) and command.right is _NEGATION


def _piped(commands: list[Command]) -> Command:
    first, rest = commands[0], commands[1:]
    if isinstance(first, AndOr) and rest:
        return replace(first, right=_piped([first.right, *rest]))
    if isinstance(first, Not):
        return Not(_piped([first.command, *rest]))
    return Pipeline(tuple(commands))


def _with_redirects(command: Command, redirects: tuple[Redirect, ...]) -> Command:
    if not redirects:
        return command
    if isinstance(command, AndOr):
        return replace(command, right=_with_redirects(command.right, redirects))
    if isinstance(command, Pipeline):
        *before, last = command.commands
        return Pipeline((*before, _with_redirects(last, redirects)))
    if isinstance(command, Not):
        return Not(_with_redirects(command.command, redirects))
    if isinstance(command, Simple):
        return replace(command, redirects=(*command.redirects, *redirects))
    if isinstance(command, Group) and command.subshell:
        inside = Redirected(Group(command.body, False), redirects, whole=True)
        return Group(Sequence(((inside, False),)), True)
    return Redirected(command, redirects)
