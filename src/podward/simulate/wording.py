"""Numbers as a colleague says them. Pure."""

from podward.machinery.gotext import human_duration


def duration(seconds: float) -> str:
    """`0.5 s`, `40 s`, `2m13s`, `14m`."""
    whole = round(seconds)
    if seconds < 9.95 and abs(seconds - whole) > 0.075:
        return f"{seconds:.1f} s"
    return f"{whole} s" if whole < 120 else human_duration(whole)


def between(least: float, most: float) -> str:
    """One number where two would say the same."""
    if most - least < 1 or duration(least) == duration(most):
        return duration((least + most) / 2)
    return f"{duration(least)} to {duration(most)}"


def share(part: float, whole: float) -> str:
    """Not 100% if something is missing, nor 0% of something."""
    ratio = part / whole if whole else 0.0
    if 0.995 <= ratio < 1 - 1e-9:
        return f"{min(ratio, 0.999):.1%}"
    return "under 1%" if 0 < ratio < 0.01 else f"{ratio:.0%}"


def times(count: int, noun: str) -> str:
    """`1 restart`, `2 restarts`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
