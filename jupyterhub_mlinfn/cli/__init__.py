"""The `mlinfn` command. Exit codes: 0 well, 1 not well, 2 asked for something that cannot be.

Verbs import what they need when they run, so that `mlinfn --help` answers at once over a slow line as well.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import OperatorError, UserError
from . import alerts, backup, config, demo, gpus, health, iam, images, init, interrupt, labs, restore, stack, users

NOT_WELL = 1
USAGE = 2


class Verbs(TyperGroup):
    """The verbs. Ctrl-C in one that has nothing else to say about it is answered with a sentence."""

    def invoke(self, ctx: typer.Context) -> Any:
        """What the verb gives. Raises OperatorError if it was interrupted."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort):
            raise OperatorError(interrupt.SAID) from None


app = typer.Typer(
    name="mlinfn",
    cls=Verbs,
    help="Keeps a JupyterHub with GPUs on one machine. Every verb takes --json. Exit: 0 well, 1 not, 2 usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def mlinfn(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(
        "--config", metavar="FILE",
        help="Settings of the instance. Without it, MLINFN_CONFIG or config/mlinfn.yaml of the checkout.")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Remembers which instance the verb is about."""
    from .site import Site

    context.obj = Site(config) if config else Site.by_default()


app.add_typer(config.app, name="config")
app.add_typer(users.app, name="users")
app.add_typer(iam.app, name="iam")
app.add_typer(demo.app, name="demo")
app.add_typer(labs.app, name="labs")
app.add_typer(images.app, name="images")
app.add_typer(backup.app, name="backup")
app.add_typer(alerts.app, name="alerts")
init.register(app)
stack.register(app)
health.register(app)
gpus.register(app)
restore.register(app)


def main() -> None:
    """Run the command line and exit with its code; what the keeper can mend is said without a traceback."""
    try:
        app(_config_first(sys.argv[1:]))
    except UserError as error:
        _fail(str(error), USAGE)
    except OperatorError as error:
        _fail(str(error), NOT_WELL)
    except PermissionError as error:
        _fail(f"{_reason(error)}. Run this as root (sudo mlinfn ...).", NOT_WELL)
    except BrokenPipeError:  # the reader, such as `head`, has gone
        _drop_output()
        sys.exit(NOT_WELL)
    except OSError as error:  # such as of a disk that is full or read-only
        _drop_output()
        _fail(f"{_reason(error)}. See: mlinfn doctor", NOT_WELL)


def _reason(error: OSError) -> str:
    """`FILE: why`, or why alone where the system names no file."""
    return ": ".join(str(each) for each in (error.filename, error.strerror or error) if each)


def _drop_output() -> None:
    """Nothing; what could not be written is not tried again when Python ends, which would be a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: int) -> None:
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.exit(code)


def _config_first(words: list[str]) -> list[str]:
    """The words with `--config FILE` in front of the verb, where the option is declared; people write it anywhere."""
    for index, word in enumerate(words):
        if word == "--":
            return words
        size = 2 if word == "--config" else 1 if word.startswith("--config=") else 0
        if size:
            return words[index:index + size] + words[:index] + words[index + size:]
    return words
