"""Options of a command line. One that is not known is told: left out, it would be another command."""

from collections.abc import Mapping

from podward.simulate.processes import CannotSimulate, Process


class Options(dict[str, str]):
    """Letter -> its value, or "" for a flag; the last one counts."""

    def __init__(self) -> None:
        super().__init__()
        self.every: list[tuple[str, str]] = []
        """In their order, for what may be said twice."""
        self.names: list[str] = []
        """What is no option."""

    def add(self, letter: str, value: str) -> None:
        self[letter] = value
        self.every.append((letter, value))


def read(
    process: Process,
    flags: str = "",
    values: str = "",
    long: Mapping[str, str] | None = None,
    *,
    leading: bool = False,
) -> Options:
    """`flags` take nothing, `values` take one; `long`: name -> letter.

    `leading`: the first word that is no option ends them.
    """
    words, out = process.argv[1:], Options()
    while words:
        word = words.pop(0)
        if word == "--":
            out.names += words
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            letter = (long or {}).get(name)
            if letter is None:
                raise unknown(process, word)
            if letter in values and not equals:
                value = words.pop(0) if words else ""
            out.add(letter, value)
        elif word.startswith("-") and len(word) > 1:
            _letters(process, word, words, out, flags, values)
        else:
            out.names.append(word)
            if leading:
                out.names += words
                break
    return out


def _letters(
    process: Process, word: str, words: list[str], out: Options, flags: str, values: str
) -> None:
    for position, letter in enumerate(word[1:], 1):
        if letter in values:
            rest = word[position + 1 :]
            if not rest and not words:
                raise unknown(process, f"{word} without a value")
            out.add(letter, rest or words.pop(0))
            return
        if letter not in flags:
            raise unknown(process, f"-{letter}" if len(word) == 2 else f"-{letter} (in {word})")
        out.add(letter, "")


def unknown(process: Process, what: str) -> CannotSimulate:
    return CannotSimulate(
        f"the simulator's {process.name} does not know {what!r} (in {' '.join(process.argv)!r}): use "
        f"another form, or describe the command in a --behaviour file"
    )
