"""Commands that keep data safe, as parts of the `claimsight` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.invocation import AsJson, finish, quiet_settings

app = typer.Typer()
audit_app = typer.Typer(help="Who did what: records that cannot be changed unseen.", no_args_is_help=True)
retention_app = typer.Typer(help="How long claims are kept, and legal hold.", no_args_is_help=True)
encryption_app = typer.Typer(help="Originals and page pictures, encrypted at rest.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
app.add_typer(encryption_app, name="encryption")
app.add_typer(retention_app, name="retention")

ClaimNumber = Annotated[str, typer.Argument(help="The claim's number.")]


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="Where the backup goes: a new or empty folder.")],
    as_json: AsJson = False,
) -> None:
    """Back up the embedded store, also while it is served.

    The folder holds a manifest of hashes.

    Example: claimsight backup backups/2026-11-28
    """
    from app.commands import folder as command

    raise typer.Exit(command.backup(quiet_settings(), folder, as_json=as_json))


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The backup.")],
    as_json: AsJson = False,
) -> None:
    """Make the data folder from a backup.

    The backup is checked against its manifest; the data folder must be new or empty.

    Example: CLAIMSIGHT_STORE=sqlite:restored claimsight restore backups/2026-11-28
    """
    from app.commands import folder as command

    raise typer.Exit(command.restore(quiet_settings(), folder, as_json=as_json))


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Check the embedded store, all of it.

    Its database, the bytes of every file, the vectors of every page. Exit 1 on faults. Changes nothing; may run while
    the store is served.
    """
    from app.commands import folder as command

    raise typer.Exit(command.verify(quiet_settings(), as_json=as_json))


@app.command()
def copy(
    source: Annotated[
        str | None, typer.Option("--from", help="The store to read; CLAIMSIGHT_STORE when left out.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--to", help="The store to fill, empty at first; CLAIMSIGHT_STORE when left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy everything from one store to another, and compare.

    Of either engine. Exit 1 when the two differ. May be stopped at any point and started again. Nothing should write to
    the two meanwhile. Example: claimsight copy --from sqlite:.claimsight/data --to mongodb://db/claims
    """
    from app.commands import copying

    finish(copying.copy(quiet_settings(), source, target, as_json=as_json))


@audit_app.command("verify")
def audit_verify(
    noted: Annotated[
        str | None, typer.Option(help="NUMBER:HASH that an earlier run printed; it must still be in the chain.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look whether a record was changed or taken away.

    Follows the audit of every tenant from its first record to its last; exit 1 when one was. Keep the printed
    NUMBER:HASH elsewhere: with --noted even a whole new chain is found out.
    """
    from app.commands import audit

    finish(audit.verify(quiet_settings(), noted=noted, as_json=as_json))


@audit_app.command("export")
def audit_export(
    since: Annotated[str | None, typer.Option(help="Only records from this moment on, as ISO text.")] = None,
    until: Annotated[str | None, typer.Option(help="Only records before this moment, as ISO text.")] = None,
    claim: Annotated[str | None, typer.Option(help="Only records of this claim, or that showed it.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only records of who is called so.")] = None,
    action: Annotated[str | None, typer.Option(help="Only these: claim.view, or claim for all that begin so.")] = None,
    words: Annotated[
        str | None, typer.Option(help="Only searches for these words, also where they are hashed.")
    ] = None,
) -> None:
    """Print the audit of CLAIMSIGHT_TENANT.

    The oldest record first, one JSON object a line.

    Examples:

    claimsight audit export > audit.jsonl

    claimsight audit export --claim CLM551344 --since 2026-11-01
    """
    from app.commands import audit

    wanted = audit.wanted(since=since, until=until, claim=claim, actor=actor, action=action)
    finish(audit.export(quiet_settings(), wanted, words=words))


@encryption_app.command("new-key")
def encryption_new_key() -> None:
    """Print a new random key.

    For CLAIMSIGHT_ENCRYPTION_KEY, or as a line of CLAIMSIGHT_ENCRYPTION_KEY_FILE.

    Example: claimsight encryption new-key > encryption.key
    """
    from app.commands import encryption

    raise typer.Exit(encryption.new_key())


@encryption_app.command("rotate")
def encryption_rotate(as_json: AsJson = False) -> None:
    """Encrypt every file with the first of the keys.

    Also those that are not encrypted. May be stopped and started again; searches and uploads go on. It says which keys
    are still in use.

    Example: claimsight encryption rotate
    """
    from app.commands import encryption

    finish(encryption.rotate(quiet_settings(), as_json=as_json))


@retention_app.command("run")
def retention_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is due; delete nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete claims that have been kept long enough.

    As the rules of CLAIMSIGHT_RETENTION_RULES say; claims under legal hold stay.

    Example: claimsight retention run --dry-run
    """
    from app.commands import retention

    finish(retention.run(quiet_settings(), dry_run=dry_run, as_json=as_json))


@retention_app.command("hold")
def retention_hold(claim: ClaimNumber) -> None:
    """Put a claim under legal hold.

    Neither retention nor a request deletes anything of it until it is released.
    """
    from app.commands import retention

    finish(retention.hold(quiet_settings(), claim, True))


@retention_app.command("release")
def retention_release(claim: ClaimNumber) -> None:
    """Release a claim from legal hold.

    It can be deleted again, by a request or by the rules of retention.
    """
    from app.commands import retention

    finish(retention.hold(quiet_settings(), claim, False))


@retention_app.command("held")
def retention_held(as_json: AsJson = False) -> None:
    """List the claims that are under legal hold.

    By number, with their line, status and last change.

    Example: claimsight retention held --json
    """
    from app.commands import retention

    finish(retention.list_held(quiet_settings(), as_json=as_json))
