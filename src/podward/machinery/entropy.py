"""The only door to dice: names, ids and jitter come from one seeded source, so a run can be replayed."""

import random

# The letters Kubernetes draws generated names from: no vowels and no look-alikes, so no words arise.
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Entropy:
    """Random values; the same seed gives the same values in the same order. No seed: the system's own."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.SystemRandom() if seed is None else random.Random(seed)

    def uuid4(self) -> str:
        """A random UUID in its canonical text form."""
        bits = self._random.getrandbits(128)
        bits = bits & ~(0xF << 76) | (4 << 76)
        bits = bits & ~(0x3 << 62) | (2 << 62)
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def name_suffix(self, length: int = 5) -> str:
        """What the API server appends to `metadata.generateName`."""
        return "".join(self._random.choice(_NAME_LETTERS) for _ in range(length))

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)
