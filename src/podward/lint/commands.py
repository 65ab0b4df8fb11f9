"""What a command line starts, as far as it can be read without running it. Pure."""

import re
from collections.abc import Sequence

SHELLS = ("sh", "bash", "ash", "dash", "zsh", "ksh")
_SEPARATORS = re.compile(r"[;&|\n(){}`]|\$\(")
_BEFORE_A_COMMAND = (
    "if",
    "then",
    "elif",
    "else",
    "while",
    "until",
    "do",
    "!",
    "exec",
    "env",
    "nice",
    "time",
)
_ASSIGNMENT = re.compile(r"\w+=")
_PLAIN = re.compile(r"[\w\s./:=@%+,-]*")


def base(word: str) -> str:
    return word.rpartition("/")[2]


def script_of(command: Sequence[str]) -> str | None:
    """The text that a shell is given with `-c`; None if it is no shell, or reads a file."""
    if len(command) < 3 or base(command[0]) not in SHELLS:
        return None
    for index, word in enumerate(command[1:-1], start=1):
        if not word.startswith("-"):
            return None
        if word.endswith("c"):
            return command[index + 1]
    return None


def programs(command: Sequence[str]) -> list[str]:
    """The names of what is started: the command itself, or each command of a shell's script."""
    script = script_of(command)
    if script is None:
        return [base(command[0])] if command else []
    found = [_program(part.split()) for part in _SEPARATORS.split(script)]
    return [name for name in found if name]


def _program(words: Sequence[str]) -> str:
    for index, word in enumerate(words):
        if word == "timeout" and index + 2 < len(words):
            return _program(words[index + 2 :])
        if word not in _BEFORE_A_COMMAND and not _ASSIGNMENT.match(word):
            return base(word)
    return ""


def is_one_plain_command(script: str) -> bool:
    """Nothing in it needs a shell: no variables, quotes, pipes, redirections, builtins."""
    words = script.split()
    builtins = (
        "exit",
        "cd",
        "trap",
        "set",
        "export",
        "read",
        "test",
        "[",
        ":",
        "exec",
        *_BEFORE_A_COMMAND,
    )
    return bool(words) and _PLAIN.fullmatch(script) is not None and words[0] not in builtins


def sleeps(command: Sequence[str]) -> int | None:
    """How many seconds it sleeps, if that is what it does."""
    match = re.search(r"\bsleep (\d+)", " ".join(command))
    return int(match[1]) if match else None


def never_ends(command: Sequence[str]) -> bool:
    text = " ".join(command)
    loops = re.search(r"\bwhile (true|:|\[ 1 \])", text) and not re.search(
        r"\b(break|exit)\b", text
    )
    return bool(loops) or re.search(r"\bsleep (infinity|inf)\b|\btail -[fF]\b", text) is not None


def hosts(command: Sequence[str]) -> list[str]:
    """Of the URLs in it."""
    return re.findall(r"\bhttps?://(\[[^\]]*\]|[^/:\s'\"]+)", " ".join(command))
