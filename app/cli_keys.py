"""Commands on API keys, as parts of the `claimsight` command."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.invocation import AsJson, finish, quiet_settings
from retrieval.keys import Role

KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `claimsight keys list` shows it.")]

app = typer.Typer(help="Who may ask: API keys, each for one tenant and with one role.", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Whose key it is, for people.")],
    role: Annotated[Role, typer.Option(help="viewer reads, adjuster also writes, admin also deletes and holds.")],
    tenant: Annotated[str | None, typer.Option(help="Whose data it opens; CLAIMSIGHT_TENANT when left out.")] = None,
    days: Annotated[int, typer.Option(min=0, max=36_525, help="How long it is good; 0 for ever.")] = 365,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once.

    Only a hash of it is kept. From the first key on the server asks for keys.

    Example: claimsight keys create --name "Ann Meyer" --role adjuster
    """
    from app.commands import keys

    finish(keys.create(quiet_settings(), name, role, tenant=tenant, days=days, as_json=as_json))


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only keys of this tenant.")] = None, as_json: AsJson = False
) -> None:
    """List the keys of all tenants.

    Oldest first, with role, state, end and last use. Keys themselves are not kept.
    """
    from app.commands import keys

    finish(keys.show(quiet_settings(), tenant=tenant, as_json=as_json))


@app.command("revoke")
def revoke(key_id: KeyId) -> None:
    """End a key now and for ever.

    The next request with it is refused, on every server of this store.

    Example: claimsight keys revoke 0f3a5c7e9b1d2f40
    """
    from app.commands import keys

    finish(keys.revoke(quiet_settings(), key_id))


@app.command("rotate")
def rotate(
    key_id: KeyId,
    grace_hours: Annotated[float, typer.Option(min=0, max=8760, help="How long the old key stays good.")] = 24,
    as_json: AsJson = False,
) -> None:
    """Make the next key in place of one, and print it, this once.

    Of the same name, tenant, role and length of life. The old one stays good for the hours of grace, so that programs
    can change over; then it ends.

    Example: claimsight keys rotate 0f3a5c7e9b1d2f40 --grace-hours 48
    """
    from app.commands import keys

    finish(keys.rotate(quiet_settings(), key_id, grace_hours=grace_hours, as_json=as_json))
