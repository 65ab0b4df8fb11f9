"""`podward`: the verbs, and what all of them do with errors and interruptions."""

import importlib
import os
import sys

import click

from podward.cli.errors import CliError

VERBS = {
    "up": "Run the API server, the scheduler and the node on this machine.",
    "run": "Run manifests in the foreground and show what happens.",
    "simulate": "Run manifests in virtual time and show what would happen.",
    "lint": "Say what probes promise and which mistakes they hold.",
    "preset": "Say what presets make of a Pod, without a server.",
    "apply": "Create or change objects from manifests.",
    "get": "List objects.",
    "describe": "Show one object in full, with its events.",
    "logs": "Print a container's log.",
    "exec": "Run a command in a container.",
    "delete": "Delete objects.",
    "webhook": "Serve presets to any cluster, as its webhook.",
    "image": "Import, list and remove images.",
    "doctor": "Say what works on this machine, and what mends what does not.",
    "version": "Print the version.",
}
"""Row = verb: its module is `podward.cli.<verb>`, its click command is `command` there."""


class Verbs(click.Group):
    """Imports a verb's module when that verb is used: `podward get` must not pay for `podward up`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"podward.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Apply a Pod to this machine, and it is kept alive."""


def main() -> None:
    try:
        code = cli.main(standalone_mode=False)
    except CliError as error:
        print(error, file=sys.stderr)
        code = error.code
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read us has gone; python would complain about the same pipe again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code if isinstance(code, int) else 0)
