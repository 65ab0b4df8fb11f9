"""`$((...))`: 64-bit integers, C's operators, variables by name. Pure but for the variables it assigns."""

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(0[xX][0-9a-fA-F]+|\d+#\w+|\d+|[A-Za-z_]\w*"
    r"|<<=|>>=|\*\*=?|\+\+|--|<<|>>|&&|\|\||[-+*/%&|^!=<>]=|\S)"
)
_LEVELS = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">="), ("<<", ">>"),
    ("+", "-"), ("*", "/", "%"), ("**",),
)  # fmt: skip
_ASSIGNING = ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=")
_MOST_NAMES = 64
"""How many variables may name each other before it is a circle."""

Get = Callable[[str], str | None]
Set = Callable[[str, str], None]


class ArithmeticProblem(ValueError):
    """No number comes of it."""


def calculate(text: str, get: Get, put: Set, depth: int = 0) -> int:
    if depth > _MOST_NAMES:
        raise ArithmeticProblem("expression recursion loop detected")
    tokens = [token for token in _TOKEN.findall(text) if token]
    reader = _Reader(tokens, get, put, depth)
    value = reader.comma() if tokens else 0
    if reader.rest:
        raise ArithmeticProblem("arithmetic syntax error")
    return value


class _Reader:
    def __init__(self, tokens: list[str], get: Get, put: Set, depth: int) -> None:
        self.rest = tokens
        self._get = get
        self._put = put
        self._depth = depth
        self._skipping = 0
        """Within what `&&`, `||` or `?` leave out: read, but without effect."""

    def _peek(self, ahead: int = 0) -> str:
        return self.rest[ahead] if len(self.rest) > ahead else ""

    def _next(self) -> str:
        if not self.rest:
            raise ArithmeticProblem("arithmetic syntax error")
        return self.rest.pop(0)

    def comma(self) -> int:
        value = self._assignment()
        while self._peek() == ",":
            self._next()
            value = self._assignment()
        return value

    def _assignment(self) -> int:
        name, operator = self._peek(), self._peek(1)
        if not name.isidentifier() or operator not in _ASSIGNING:
            return self._ternary()
        del self.rest[:2]
        value = self._assignment()
        if operator != "=":
            value = self._apply(operator[:-1], self._value(name), value)
        return self._store(name, value)

    def _store(self, name: str, value: int) -> int:
        if not self._skipping:
            self._put(name, str(value))
        return value

    def _ternary(self) -> int:
        condition = self._binary(0)
        if self._peek() != "?":
            return condition
        self._next()
        yes = self._unless(not condition, self.comma)
        if self._next() != ":":
            raise ArithmeticProblem("arithmetic syntax error")
        no = self._unless(bool(condition), self._assignment)
        return yes if condition else no

    def _unless(self, skip: bool, read: Callable[[], int]) -> int:
        self._skipping += skip
        try:
            return read()
        finally:
            self._skipping -= skip

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            operator = self._next()
            if operator in ("&&", "||"):
                decided = bool(left) is (operator == "||")
                right = self._unless(decided, lambda: self._binary(level + 1))
                left = int(bool(left)) if decided else int(bool(right))
            else:
                left = self._apply(operator, left, self._binary(level + 1))
        return left

    def _unary(self) -> int:
        token = self._next()
        match token:
            case "-":
                return _wrapped(-self._unary())
            case "+":
                return self._unary()
            case "!":
                return int(not self._unary())
            case "~":
                return ~self._unary()
            case "++" | "--" if self._peek().isidentifier():
                name = self._next()
                return self._store(name, self._value(name) + (1 if token == "++" else -1))
            case "(":
                value = self.comma()
                if self._next() != ")":
                    raise ArithmeticProblem("arithmetic syntax error")
                return value
        if token.isidentifier():
            value = self._value(token)
            if self._peek() in ("++", "--"):
                self._store(token, value + (1 if self._next() == "++" else -1))
            return value
        return _number(token)

    def _value(self, name: str) -> int:
        text = (self._get(name) or "").strip()
        return calculate(text, self._get, self._put, self._depth + 1)

    def _apply(self, operator: str, a: int, b: int) -> int:
        if operator in ("/", "%") and b == 0:
            if self._skipping:
                return 0
            raise ArithmeticProblem("divide by zero")
        return _wrapped(_OPERATIONS[operator](a, b))


def _number(token: str) -> int:
    """C's: `0x1f`, `010` is eight; and `base#digits`."""
    try:
        if "#" in token:
            base, _, digits = token.partition("#")
            return _wrapped(int(digits, int(base)))
        octal = len(token) > 1 and token[0] == "0" and token[1] not in "xX"
        return _wrapped(int(token, 8) if octal else int(token, 0))
    except ValueError:
        raise ArithmeticProblem("arithmetic syntax error") from None


def _wrapped(value: int) -> int:
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _quotient(a: int, b: int) -> int:
    """Towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _power(a: int, b: int) -> int:
    if b < 0:
        raise ArithmeticProblem("exponent less than 0")
    return pow(a, b, 1 << 64)


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
    "%": lambda a, b: a - b * _quotient(a, b),
    "**": _power,
    "<<": lambda a, b: a << (b & 63),
    ">>": lambda a, b: a >> (b & 63),
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    "<=": lambda a, b: int(a <= b),
    ">": lambda a, b: int(a > b),
    ">=": lambda a, b: int(a >= b),
}
