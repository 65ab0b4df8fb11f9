"""The tree of a shell program: what `parser` makes of a text, and `interpreter` runs."""

from dataclasses import dataclass, field
from typing import Literal


class ShellSyntaxError(ValueError):
    """The text is no shell program, or uses what the simulator's shell does not have."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$name`, `${name}`, `${#name}`, `${name:-word}`; `${name/pattern/with}` has a second argument."""

    name: str
    quoted: bool = False
    operator: str = ""
    argument: "Word" = ()
    second: "Word" = ()
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
    quoted: bool = False


Part = Text | Parameter | Substitution | Arithmetic
Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    descriptor: int
    kind: Literal["<", ">", ">|", ">>", "<>", ">&", "<<"]
    target: Word
    """For `<<` the document itself."""


@dataclass(frozen=True, slots=True)
class Simple:
    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...] = ()
    line: int = 0
    plain: tuple[str, ...] | None = field(init=False, compare=False)
    """The words, if nothing in them needs to be expanded and there is nothing else."""

    def __post_init__(self) -> None:
        plain = None
        if self.words and not self.assignments and not self.redirects:
            found = [literal(word) for word in self.words]
            plain = tuple(w for w in found if w is not None) if None not in found else None
        object.__setattr__(self, "plain", plain)


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
    line: int = 0


@dataclass(frozen=True, slots=True)
class For:
    name: str
    words: tuple[Word, ...] | None
    """None: the positional parameters."""
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
    whole: bool = False
    """All of a subshell, which a redirection that fails ends."""


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


def literal(word: Word) -> str | None:
    """The text of a word in which nothing is expanded, split or matched; else None."""
    text = ""
    for index, part in enumerate(word):
        if not isinstance(part, Text):
            return None
        if not part.quoted and (
            any(c in part.text for c in "*?[") or (index == 0 and part.text.startswith("~"))
        ):
            return None
        text += part.text
    return text
