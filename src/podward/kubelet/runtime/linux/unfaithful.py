"""What is not done rather than done differently."""


class Unfaithful(Exception):
    """A command cannot be given exactly what the engine would give it; the text says what is in the way."""
