"""Shell text to tokens: words with their quotes and expansions, operators, redirections, here-documents.

As POSIX has it (XCU 2.2, 2.3, 2.6, 2.7.4), with what busybox adds: `$'...'`, `${x:1:2}`, `${x/a/b}`, `[[`.
Which words are reserved depends on where they stand; the reader keeps track of that, for it must know whether a
`)` ends a `case` pattern or the `$(` in which it reads.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from podward.simulate.shell.syntax import (
    Arithmetic,
    Parameter,
    Part,
    Redirect,
    Sequence,
    ShellSyntaxError,
    Substitution,
    Text,
    Word,
)

OPENING = ("if", "then", "else", "elif", "do", "while", "until", "!", "{")
"""Reserved words after which a command begins."""
CLOSING = ("fi", "done", "esac", "}")
_OPERATORS = re.compile(r"&&|\|\||;;|[;&|()\n]")
_REDIRECT = re.compile(r"(\d*)(<<-|<<<|<<|<&|<>|<|>>|>&|>\||&>|>)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = "?$!#@*-"
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")

Kind = Literal["word", "reserved", "operator", "redirect"]
Mode = Literal["command", "argument", "case-word", "case-in", "for-name", "for-in", "pattern"]
Parse = Callable[[list["Token"]], Sequence]


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    line: int
    word: Word = ()
    redirect: Redirect | None = None


@dataclass(slots=True)
class _HereDocument:
    at: int
    """The token that waits for it."""
    end: str
    quoted: bool
    strip: bool


class Reader:
    """Reads `text` from `position` on, to its end or, `inside` a `$(`, to its `)`."""

    def __init__(
        self, text: str, parse: Parse, position: int = 0, *, inside: bool = False, line: int = 1
    ) -> None:
        self.text = text
        self.position = position
        self._parse = parse
        self._inside = inside
        self._first_line = line - text.count("\n", 0, position)
        self.tokens: list[Token] = []
        self._mode: Mode = "command"
        self._open_cases = 0
        self._depth = 0
        self._brackets = False
        self._documents: list[_HereDocument] = []

    @property
    def line(self) -> int:
        return self._first_line + self.text.count("\n", 0, self.position)

    def read(self) -> list[Token]:
        while True:
            self._skip_blanks()
            if self.position >= len(self.text):
                if self._inside:
                    raise ShellSyntaxError("syntax error: unterminated $(")
                if self._documents:
                    self._read_documents()
                return self.tokens
            if self._inside and self._closes():
                self.position += 1
                return self.tokens
            self._read_token()

    def _closes(self) -> bool:
        return self.text[self.position] == ")" and self._depth == 0 and self._mode != "pattern"

    def _skip_blanks(self) -> None:
        text = self.text
        while self.position < len(text):
            if text[self.position] in " \t\r":
                self.position += 1
            elif text.startswith("\\\n", self.position):
                self.position += 2
            elif text[self.position] == "#":
                end = text.find("\n", self.position)
                self.position = len(text) if end < 0 else end
            else:
                return

    def _read_token(self) -> None:
        redirect = _REDIRECT.match(self.text, self.position)
        if redirect is not None and not self._brackets:
            self._read_redirect(redirect)
            return
        operator = _OPERATORS.match(self.text, self.position)
        if operator is not None and not (self._brackets and operator[0] in ("&&", "||", "(", ")")):
            self._read_operator(operator[0])
            return
        start, line = self.position, self.line
        if operator is not None:
            # busybox: within `[[` these are the words -a, -o, ( and ).
            self.position = operator.end()
            spelled = {"&&": "-a", "||": "-o"}.get(operator[0], operator[0])
            self._add(Token("word", spelled, line, (Text(spelled),)))
            return
        if self._brackets and self.text[self.position] in "<>":
            self.position += 1
            self._add(Token("word", self.text[start], line, (Text(self.text[start], True),)))
            return
        word = self.word()
        self._classify(self.text[start : self.position], word, line)

    # ---- where we are

    def _add(self, token: Token) -> None:
        self.tokens.append(token)

    def _reserved(self, text: str, line: int) -> None:
        self._add(Token("reserved", text, line))

    def _classify(self, raw: str, word: Word, line: int) -> None:
        mode = self._mode
        if mode in ("case-word", "for-name"):
            self._add(Token("word", raw, line, word))
            self._mode = "case-in" if mode == "case-word" else "for-in"
        elif mode in ("case-in", "for-in") and raw in ("in", "do"):
            self._reserved(raw, line)
            self._mode = "command" if raw == "do" else "argument" if mode == "for-in" else "pattern"
        elif mode == "pattern" and raw != "esac":
            self._add(Token("word", raw, line, word))
        elif mode in ("command", "pattern") and raw in (
            *OPENING,
            *CLOSING,
            "case",
            "for",
            "function",
        ):
            self._keyword(raw, line)
        else:
            self._add(Token("word", raw, line, word))
            if raw == "[[" and mode == "command":
                self._brackets = True
            elif raw == "]]":
                self._brackets = False
            if mode != "command" or not _ASSIGNMENT.match(raw):
                self._mode = "argument"

    def _keyword(self, raw: str, line: int) -> None:
        self._reserved(raw, line)
        if raw == "case":
            self._mode = "case-word"
            self._open_cases += 1
        elif raw == "for":
            self._mode = "for-name"
        elif raw == "function":
            self._mode = "argument"
        else:
            self._mode = "command"
            self._open_cases -= raw == "esac"

    def _read_operator(self, operator: str) -> None:
        if operator == ";;" and not self._open_cases:
            raise ShellSyntaxError("syntax error: unexpected ';;'")
        self._add(Token("operator", operator, self.line))
        self.position += len(operator)
        if operator == "\n" and self._documents:
            self._read_documents()
        if self._mode == "pattern":
            if operator == ")":
                self._mode = "command"
            return
        if self._mode in ("for-in", "case-in") and operator in ("\n", ";"):
            return
        if operator == "(":
            self._depth += 1
        elif operator == ")":
            self._depth -= 1
        self._mode = "pattern" if operator == ";;" and self._open_cases > 0 else "command"

    # ---- redirections

    def _read_redirect(self, match: re.Match[str]) -> None:
        number, operator = match[1], match[2]
        line = self.line
        self.position = match.end()
        if operator in ("&>", "<<<"):
            raise ShellSyntaxError(f"{operator} is bash's, and busybox's shell does not know it")
        self._skip_blanks()
        start = self.position
        target = self.word()
        if self.position == start:
            raise ShellSyntaxError(f"syntax error: nothing to redirect to after {operator!r}")
        descriptor = int(number) if number else 0 if operator[0] == "<" else 1
        kind = ">&" if operator == "<&" else operator
        if operator in ("<<", "<<-"):
            raw = self.text[start : self.position]
            kind, end = "<<", "".join(p.text for p in target if isinstance(p, Text))
            quoted = any(c in raw for c in "'\"\\")
            self._documents.append(_HereDocument(len(self.tokens), end, quoted, operator == "<<-"))
        redirect = Redirect(descriptor, kind, target)  # type: ignore[arg-type]  # what the pattern lets through
        self._add(Token("redirect", match[0], line, (), redirect))

    def _read_documents(self) -> None:
        documents, self._documents = self._documents, []
        for document in documents:
            body = ""
            while self.position < len(self.text):
                end = self.text.find("\n", self.position) + 1 or len(self.text)
                shown = self.text[self.position : end]
                if document.strip:
                    shown = shown.lstrip("\t")
                self.position = end
                if shown.removesuffix("\n") == document.end:
                    break
                body += shown
            self._fill(document, body)

    def _fill(self, document: _HereDocument, body: str) -> None:
        token = self.tokens[document.at]
        parts: Word = (Text(body, True),)
        if not document.quoted:
            parts = Reader(body, self._parse, line=token.line + 1).document()
        assert token.redirect is not None
        redirect = Redirect(token.redirect.descriptor, "<<", parts)
        self.tokens[document.at] = Token("redirect", token.text, token.line, (), redirect)

    def document(self) -> Word:
        """All of the text, as between double quotes that no `"` ends."""
        return self._quoted("", "$`\\\n")

    # ---- words

    def word(self, stop: str = " \t\r\n;&|<>()") -> Word:
        """Up to a character of `stop` that is not quoted."""
        parts: list[Part] = []
        text = self.text
        while self.position < len(text) and text[self.position] not in stop:
            char = text[self.position]
            if char == "\\":
                following = text[self.position + 1 : self.position + 2]
                self.position += 2
                if following != "\n":
                    _append(parts, Text(following or "\\", True))
            elif char == "'":
                end = text.find("'", self.position + 1)
                if end < 0:
                    raise ShellSyntaxError("syntax error: unterminated quoted string")
                _append(parts, Text(text[self.position + 1 : end], True))
                self.position = end + 1
            elif char == '"':
                self.position += 1
                parts += self._quoted('"', '$`"\\\n') or (Text("", True),)
            elif char == "$" and text.startswith("$'", self.position):
                _append(parts, Text(self._ansi(), True))
            elif char in "$`":
                self._expansion(parts, quoted=False)
            else:
                _append(parts, Text(char))
                self.position += 1
        return tuple(parts)

    def _quoted(self, end: str, escapable: str) -> Word:
        """Up to `end` (and past it); all that stands there is quoted."""
        parts: list[Part] = []
        text = self.text
        while not end or not text.startswith(end, self.position):
            if self.position >= len(text):
                if end:
                    raise ShellSyntaxError("syntax error: unterminated quoted string")
                return tuple(parts)
            char = text[self.position]
            following = text[self.position + 1 : self.position + 2]
            if char == "\\" and following and following in escapable + end:
                self.position += 2
                if following != "\n":
                    _append(parts, Text(following, True))
            elif char in "$`":
                self._expansion(parts, quoted=True)
            else:
                _append(parts, Text(char, True))
                self.position += 1
        self.position += len(end)
        return tuple(parts)

    def _ansi(self) -> str:
        found = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.S).match(self.text, self.position)
        if found is None:
            raise ShellSyntaxError("syntax error: unterminated quoted string")
        self.position = found.end()
        return found[1].encode("latin-1", "backslashreplace").decode("unicode_escape")

    def _expansion(self, parts: list[Part], *, quoted: bool) -> None:
        text, start = self.text, self.position
        if text[start] == "`":
            parts.append(Substitution(self._backquoted(quoted=quoted), quoted))
        elif text.startswith("$((", start) and (found := self._arithmetic()) is not None:
            parts.append(Arithmetic(found, quoted))
        elif text.startswith("$(", start):
            inner = Reader(text, self._parse, start + 2, inside=True, line=self.line)
            tokens = inner.read()
            self.position = inner.position
            parts.append(Substitution(self._parse(tokens), quoted))
        elif text.startswith("${", start):
            self.position += 2
            parts.append(self._braces(quoted=quoted))
        elif name := _NAME.match(text, start + 1):
            parts.append(Parameter(name[0], quoted))
            self.position = name.end()
        elif text[start + 1 : start + 2] and text[start + 1] in _SPECIAL + "0123456789":
            parts.append(Parameter(text[start + 1], quoted))
            self.position += 2
        else:
            _append(parts, Text("$", quoted))
            self.position += 1

    def _backquoted(self, *, quoted: bool) -> Sequence:
        line, inner = self.line, ""
        self.position += 1
        while not self.text.startswith("`", self.position):
            if self.position >= len(self.text):
                raise ShellSyntaxError("syntax error: unterminated `")
            char = self.text[self.position]
            following = self.text[self.position + 1 : self.position + 2]
            if char == "\\" and following and following in "$`\\" + ('"' if quoted else ""):
                char = following
                self.position += 1
            inner += char
            self.position += 1
        self.position += 1
        return self._parse(Reader(inner, self._parse, line=line).read())

    def _arithmetic(self) -> Word | None:
        """None if it is a subshell in a `$(` instead: `$((echo a); echo b)`."""
        start = self.position
        self.position += 3
        parts: list[Part] = []
        depth = 0
        while self.position < len(self.text):
            char = self.text[self.position]
            if char == ")" and depth == 0:
                if self.text.startswith("))", self.position):
                    self.position += 2
                    return tuple(parts)
                break
            if char in "$`":
                self._expansion(parts, quoted=True)
                continue
            depth += {"(": 1, ")": -1}.get(char, 0)
            if char != '"':
                _append(parts, Text(char, True))
            self.position += 1
        self.position = start
        return None

    def _braces(self, *, quoted: bool) -> Parameter:
        text = self.text
        length = text[self.position : self.position + 1] == "#" and not text.startswith(
            "#}", self.position
        )
        self.position += length
        name = re.compile(r"[A-Za-z_]\w*|\d+|[?$!#@*-]").match(text, self.position)
        if name is None:
            raise ShellSyntaxError("syntax error: bad substitution")
        self.position = name.end()
        if text.startswith("}", self.position):
            self.position += 1
            return Parameter(name[0], quoted, length=length)
        operator = re.compile(r":?[-=?+]|##?|%%?|//?|:").match(text, self.position)
        if operator is None or length:
            raise ShellSyntaxError("syntax error: bad substitution")
        self.position = operator.end()
        pattern = operator[0][0] in "#%/"
        ends = "}/" if operator[0][0] == "/" else "}:" if operator[0] == ":" else "}"
        argument = self._argument(ends, quoted=quoted and not pattern)
        second: Word = ()
        if not text.startswith("}", self.position) and len(ends) > 1:
            self.position += 1
            second = self._argument("}", quoted=quoted)
        if not text.startswith("}", self.position):
            raise ShellSyntaxError("syntax error: missing }")
        self.position += 1
        return Parameter(name[0], quoted, operator[0], argument, second)

    def _argument(self, ends: str, *, quoted: bool) -> Word:
        """What follows the operator of `${`. Between double quotes single quotes mean nothing there."""
        if not quoted:
            return self.word(ends)
        parts: list[Part] = []
        while self.position < len(self.text) and self.text[self.position] not in ends:
            char = self.text[self.position]
            if char == '"':
                self.position += 1
                parts += self._quoted('"', '$`"\\\n')
            elif char == "\\" and self.text[self.position + 1 : self.position + 2] in tuple(
                '$`"\\}'
            ):
                _append(parts, Text(self.text[self.position + 1], True))
                self.position += 2
            elif char in "$`":
                self._expansion(parts, quoted=True)
            else:
                _append(parts, Text(char, True))
                self.position += 1
        return tuple(parts)


def _append(parts: list[Part], text: Text) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, Text) and last.quoted is text.quoted:
        parts[-1] = Text(last.text + text.text, text.quoted)
    else:
        parts.append(text)


def assignment(word: Word) -> tuple[str, Word] | None:
    """(name, value) of `name=value`; None for any other word."""
    first = word[0] if word else None
    if not isinstance(first, Text) or first.quoted:
        return None
    found = _ASSIGNMENT.match(first.text)
    if found is None:
        return None
    rest = first.text[found.end() :]
    return found[0][:-1], ((Text(rest),) if rest else ()) + word[1:]
