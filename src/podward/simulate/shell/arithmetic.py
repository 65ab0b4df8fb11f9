"""`$((...))`: integers, C's operators, variables by name. Pure."""

import re
from collections.abc import MutableMapping

_TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|<<=?|>>=?|[-+*/%&|^!=<>]=|&&|\|\||.)")
_LEVELS = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">="), ("<<", ">>"),
    ("+", "-"), ("*", "/", "%"),
)  # fmt: skip


class ArithmeticProblem(ValueError):
    """No number comes of it."""


def calculate(text: str, variables: MutableMapping[str, str]) -> int:
    tokens = [token for token in _TOKEN.findall(text) if token.strip()]
    reader = _Reader(tokens, variables)
    value = reader.assignment() if tokens else 0
    if reader.rest:
        raise ArithmeticProblem(f"arithmetic syntax error: {text!r}")
    return value


class _Reader:
    def __init__(self, tokens: list[str], variables: MutableMapping[str, str]) -> None:
        self.rest = tokens
        self._variables = variables

    def _next(self) -> str:
        if not self.rest:
            raise ArithmeticProblem("arithmetic syntax error: it ends too early")
        return self.rest.pop(0)

    def assignment(self) -> int:
        if len(self.rest) > 1 and self.rest[0].isidentifier():
            name, operator = self.rest[0], self.rest[1]
            if operator == "=" or (operator.endswith("=") and operator[:-1] in "+-*/%&|^"):
                del self.rest[:2]
                value = self.assignment()
                if operator != "=":
                    value = _apply(operator[:-1], self._value(name), value)
                self._variables[name] = str(value)
                return value
        return self._ternary()

    def _ternary(self) -> int:
        condition = self._binary(0)
        if self.rest[:1] != ["?"]:
            return condition
        self._next()
        yes = self.assignment()
        if self._next() != ":":
            raise ArithmeticProblem("arithmetic syntax error: ':' expected")
        no = self.assignment()
        return yes if condition else no

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self.rest and self.rest[0] in _LEVELS[level]:
            left = _apply(self._next(), left, self._binary(level + 1))
        return left

    def _unary(self) -> int:
        token = self._next()
        if token == "-":
            return -self._unary()
        if token == "+":
            return self._unary()
        if token == "!":
            return int(not self._unary())
        if token == "~":
            return ~self._unary()
        if token == "(":
            value = self.assignment()
            if self._next() != ")":
                raise ArithmeticProblem("arithmetic syntax error: ')' expected")
            return value
        if token[0].isdigit():
            octal = len(token) > 1 and token[0] == "0" and token[1] not in "xX"
            return int(token, 8) if octal else int(token, 0)
        if token.isidentifier():
            return self._value(token)
        raise ArithmeticProblem(f"arithmetic syntax error: {token!r}")

    def _value(self, name: str) -> int:
        text = self._variables.get(name, "").strip() or "0"
        try:
            return int(text, 0)
        except ValueError:
            raise ArithmeticProblem(f"{name}: {text!r} is no number") from None


def _apply(operator: str, a: int, b: int) -> int:
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/" | "%":
            if b == 0:
                raise ArithmeticProblem("divide by zero")
            quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            return quotient if operator == "/" else a - b * quotient
        case "<<":
            return a << b
        case ">>":
            return a >> b
        case "&":
            return a & b
        case "|":
            return a | b
        case "^":
            return a ^ b
        case "&&":
            return int(bool(a and b))
        case "||":
            return int(bool(a or b))
        case "==":
            return int(a == b)
        case "!=":
            return int(a != b)
        case "<":
            return int(a < b)
        case "<=":
            return int(a <= b)
        case ">":
            return int(a > b)
    return int(a >= b)
