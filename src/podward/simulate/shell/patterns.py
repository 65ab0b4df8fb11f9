"""Shell patterns: `*`, `?`, `[...]`; a backslash makes what follows match itself."""

import re
from functools import lru_cache


def escaped(text: str) -> str:
    """A pattern that matches only `text`."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def matches(text: str, pattern: str) -> bool:
    return _expression(pattern).fullmatch(text) is not None


def is_pattern(pattern: str) -> bool:
    return re.search(r"(?<!\\)(?:\\\\)*[*?\[]", pattern) is not None


def unescaped(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.S)


def trimmed(value: str, operator: str, pattern: str) -> str:
    """`${x#pattern}` and its three kin."""
    expression = _expression(pattern)
    shortest = operator in ("#", "%")
    front = operator[0] == "#"
    order = range(len(value) + 1) if shortest is front else range(len(value), -1, -1)
    for cut in order:
        if front and expression.fullmatch(value, 0, cut):
            return value[cut:]
        if not front and expression.fullmatch(value, cut):
            return value[:cut]
    return value


def replaced(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """`${x/pattern/replacement}`: the longest match at each place."""
    if not pattern:
        return value
    return _expression(pattern).sub(lambda _: replacement, value, count=0 if everywhere else 1)


@lru_cache(maxsize=512)
def _expression(pattern: str) -> re.Pattern[str]:
    out, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            out += ".*"
        elif char == "?":
            out += "."
        elif char == "\\" and position < len(pattern):
            out += re.escape(pattern[position])
            position += 1
        elif char == "[" and (found := _bracket(pattern, position)) is not None:
            out += found[0]
            position = found[1]
        else:
            out += re.escape(char)
    return re.compile(out, re.S)


_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9a-fA-F", "print": " -~", "cntrl": r"\x00-\x1f",
    "graph": "!-~",
}  # fmt: skip


def _bracket(pattern: str, start: int) -> tuple[str, int] | None:
    """(expression, where it ends) of what follows a `[`; None if nothing closes it."""
    position = start
    negated = pattern[position : position + 1] in ("!", "^")
    position += negated
    inner = ""
    first = True
    while position < len(pattern):
        char = pattern[position]
        if char == "]" and not first:
            try:
                expression = f"[{'^' if negated else ''}{inner}]"
                re.compile(expression)
            except re.error:
                return None
            return expression, position + 1
        first = False
        if named := re.compile(r"\[:(\w+):\]").match(pattern, position):
            inner += _CLASSES.get(named[1], "")
            position = named.end()
            continue
        if char == "\\" and position + 1 < len(pattern):
            position += 1
            inner += re.escape(pattern[position])
        elif char == "-":
            inner += "-"
        else:
            inner += re.escape(char)
        position += 1
    return None
