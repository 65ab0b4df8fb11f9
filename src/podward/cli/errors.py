"""What a verb says when it cannot: one line on standard error, and an exit code."""


class CliError(Exception):
    """`message` is what the user reads, in kubectl's words where kubectl has some."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
