"""Commands on the vector index and the encoder, as parts of the `claimsight` command."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.invocation import AsJson, finish, quiet_settings

app = typer.Typer()
index_app = typer.Typer(help="The vector index of the store.", no_args_is_help=True)
encoder_app = typer.Typer(help="The encoder, and whose vectors are stored.", no_args_is_help=True)
app.add_typer(index_app, name="index")
app.add_typer(encoder_app, name="encoder")


@index_app.command("ensure")
def index_ensure(
    wait_s: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait until it is ready.")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Make tables, indexes and the vector index what this version wants. Safe to repeat.

    Example: claimsight index ensure --wait 120
    """
    from app.commands import upkeep

    finish(upkeep.index_ensure(quiet_settings(), wait_s=wait_s, as_json=as_json))


@index_app.command("status")
def index_status(as_json: AsJson = False) -> None:
    """Say whether the vector index can be searched. Exit 1 when it cannot."""
    from app.commands import upkeep

    finish(upkeep.index_status(quiet_settings(), as_json=as_json))


@index_app.command("drop")
def index_drop(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Drop the vector index.

    Pages and vectors stay; searches fail until `index ensure` has made it again.
    """
    from app.commands import upkeep

    if not yes:
        typer.confirm("Searches fail until the index is made again. Drop it?", abort=True, err=True)
    finish(upkeep.index_drop(quiet_settings()))


@encoder_app.command("info")
def encoder_info(as_json: AsJson = False) -> None:
    """Say which encoder is configured, and whose vectors are stored."""
    from app.commands import upkeep

    finish(upkeep.encoder_info(quiet_settings(), as_json=as_json))


@encoder_app.command("reindex")
def encoder_reindex(as_json: AsJson = False) -> None:
    """Give every page vectors of the configured encoder.

    Page by page, while searches go on. May be interrupted.

    Example: CLAIMSIGHT_ENCODER=voyage claimsight encoder reindex
    """
    from app.commands import upkeep

    finish(upkeep.encoder_reindex(quiet_settings(), as_json=as_json))
