"""Where choices come from: our own dice for thousands of lives by number, Hypothesis for lives that shrink."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from podward.machinery.entropy import Entropy

T = TypeVar("T")


class Draws(Protocol):
    def whole(self, low: int, high: int) -> int:
        """Both ends included."""

    def one_of(self, choices: Sequence[T]) -> T: ...

    def happens(self, percent: int) -> bool: ...


class ByDice:
    def __init__(self, seed: int) -> None:
        self._entropy = Entropy(seed)

    def whole(self, low: int, high: int) -> int:
        return low + min(int(self._entropy.uniform(0, high - low + 1)), high - low)

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[self.whole(0, len(choices) - 1)]

    def happens(self, percent: int) -> bool:
        return self.whole(1, 100) <= percent


class ByHypothesis:
    """Simpler is: smaller numbers, earlier choices, fewer things that happen."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def whole(self, low: int, high: int) -> int:
        number: int = self._draw(st.integers(low, high))
        return number

    def one_of(self, choices: Sequence[T]) -> T:
        chosen: T = self._draw(st.sampled_from(choices))
        return chosen

    def happens(self, percent: int) -> bool:
        return self.whole(1, 100) > 100 - percent
