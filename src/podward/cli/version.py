import click

from podward import __version__


@click.command()
def command() -> None:
    """Print the version."""
    print(f"podward {__version__}")
