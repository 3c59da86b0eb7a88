"""The `claimsight` command. Exit 0: done; 1: failed; 2: wrong usage. Results go to stdout, all else to stderr."""

from __future__ import annotations

import asyncio
import os
import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, cast

import typer

from app import cli_keeping, cli_keys, cli_upkeep
from app.commands.invocation import AsJson
from app.commands.invocation import finish as _finish
from app.commands.invocation import quiet_settings as _settings
from app.faults import place_of
from retrieval.errors import ClaimsightError, InvalidInput

# Commands import what they need when they run: --help must not wait for an API and its encoder.

_HELP = """Vision RAG retrieval for insurance claims: pages and photos are searched as pictures, without OCR.

Start with `claimsight demo`. With your own data: `claimsight serve`, then upload over HTTP, or
`claimsight ingest CLM1 estimate.pdf --create` and `claimsight search "smashed windshield"`.
Settings are CLAIMSIGHT_* variables; `claimsight config` lists them."""

app = typer.Typer(
    name="claimsight",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(cli_upkeep.app)
app.add_typer(cli_keeping.app)
app.add_typer(cli_keys.app, name="keys")

Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API.", show_default=False)]
ReadableFile = typer.Argument(exists=True, dir_okay=False, readable=True, help="PDF, JPEG, PNG, WebP, TIFF, GIF, HEIC.")


class Grouping(StrEnum):
    page = "page"
    claim = "claim"


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(version("claimsight"))
        raise typer.Exit


@app.callback(help=_HELP)
def _claimsight(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the command itself."""


def _known_encoder(name: str | None) -> str | None:
    from models import is_encoder_name

    if name is not None and not is_encoder_name(name):
        raise typer.BadParameter("it is local, voyage, voyage+local or onnx:PATH")
    return name


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address; any but loopback needs a key: see `claimsight keys`.")
    ] = None,
    port: Port = None,
    workers: Annotated[int | None, typer.Option(min=0, max=64, help="Ingest processes to keep alive.")] = None,
) -> None:
    """Serve the API, with ingest workers as child processes. Ctrl-C or SIGTERM ends it gently.

    Example: claimsight serve --port 8080 --workers 2
    """
    from app.settings import load_settings
    from app.shared_metrics import shared_metrics

    settings = load_settings(host=host, port=port, workers=workers)
    with shared_metrics(settings.spool_folder()):
        from app.logs import configure_logs
        from app.serving import quiet_signals
        from app.serving import serve as run_server

        configure_logs(settings.log_level)
        quiet_signals()
        asyncio.run(run_server(settings))


@app.command()
def worker() -> None:
    """Run one ingest worker.

    On this machine or, with MongoDB, on any other that reaches the store.

    Example: CLAIMSIGHT_STORE=mongodb://db/claims claimsight worker
    """
    from app.logs import configure_logs
    from app.serving import work
    from app.settings import load_settings

    settings = load_settings()
    configure_logs(settings.log_level)
    asyncio.run(work(settings))


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="Folder for the demo's data.", show_default=False)] = None,
    port: Port = None,
    dashboard_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the dashboard.", show_default=False)
    ] = None,
) -> None:
    """Show it: demo claims, API, worker and dashboard. Prints both addresses; Ctrl-C ends everything.

    The data lie in .claimsight/demo, apart from yours, and stay for the next time.
    Example: claimsight demo --port 8010 --dashboard-port 8510
    """
    from app.settings import load_settings
    from app.shared_metrics import shared_metrics

    given = load_settings()
    with shared_metrics(given.spool_folder()):
        from app.commands import demo as command
        from app.logs import configure_logs
        from app.serving import quiet_signals

        settings = command.demo_settings(given, data=data or command.DATA)
        configure_logs(settings.log_level)
        quiet_signals()
        _finish(command.demo(settings, port=port, dashboard_port=dashboard_port))


@app.command()
def ingest(
    claim: Annotated[str, typer.Argument(help="The claim's number.")],
    files: Annotated[list[Path], ReadableFile],
    create: Annotated[bool, typer.Option("--create", help="Make the claim if there is none of that number.")] = False,
    wait: Annotated[bool, typer.Option(help="Work on the files now, or leave them to a running worker.")] = True,
    as_json: AsJson = False,
) -> None:
    """Take files into a claim and index their pages. Exit 1 when one of them failed; the others are kept.

    Example: claimsight ingest CLM551344 estimate.pdf photos/*.jpg --create
    """
    from app.commands import data

    _finish(data.ingest(_settings(), claim, files, create=create, wait=wait, as_json=as_json))


@app.command()
def search(
    words: Annotated[str | None, typer.Argument(help="What to look for.", show_default=False)] = None,
    image: Annotated[
        list[Path] | None, typer.Option(exists=True, dir_okay=False, help="A picture to look for; may be repeated.")
    ] = None,
    page: Annotated[str | None, typer.Option(help="More like this page, by its id.")] = None,
    claim: Annotated[str | None, typer.Option(help="Claims like this one, by its number.")] = None,
    filter_json: Annotated[str | None, typer.Option("--filter", help="Facts that must hold, as JSON.")] = None,
    group_by: Annotated[
        Grouping | None, typer.Option(help="One hit a page (default), or one a claim (default with --claim).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Hits wanted.")] = 10,
    exact_text: Annotated[
        bool, typer.Option(help="Put PDFs first whose text holds a number, or words in quotes, to the letter.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Find pages or claims by words, picture, page or claim.

    Examples:

    claimsight search "smashed windshield" --filter '{"line": "auto", "loss_amount": {"gte": 1000}}'

    claimsight search --image damage.jpg --group-by claim

    claimsight search --claim CLM551344 --limit 5
    """
    from app.commands import data

    if sum([words is not None, bool(image), page is not None, claim is not None]) != 1:
        raise InvalidInput("Ask with exactly one of WORDS, --image, --page and --claim.", code="usage")
    grouping = group_by or (Grouping.claim if claim is not None else Grouping.page)
    _finish(
        data.search(
            _settings(),
            text=words,
            images=image or [],
            page_id=page,
            claim_id=claim,
            filter_json=filter_json,
            group_by=grouping.value,
            limit=limit,
            exact_text=exact_text,
            as_json=as_json,
        )
    )


@app.command()
def evaluate(
    dataset: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of labelled pages or photos.")],
    encoder: Annotated[
        str | None, typer.Option(callback=_known_encoder, help="Another encoder than the configured one.")
    ] = None,
    report: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the run here, as JSON lines.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well searches answer a labelled set. Nothing of it stays in your store.

    Takes a folder with pages/ and queries.jsonl, or photos with labels.jsonl, which ask for each other by label.

    Example: claimsight evaluate labelled/ --report run.jsonl
    """
    from app.commands import data

    _finish(data.evaluate_set(_settings(), dataset, encoder_name=encoder, report_path=report, as_json=as_json))


@app.command()
def config(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md.")] = False,
) -> None:
    """Print the settings in force and where each comes from. Secrets are not shown."""
    from app.commands import upkeep

    raise typer.Exit(upkeep.config({}, as_json=as_json, markdown=markdown))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look whether all that is needed works, and say what to do.

    Python, poppler, fonts, disk, store, index, encoder, pages and queue. Exit 1 when something that is needed does not
    work.
    """
    from app.commands import doctor as command

    _finish(command.examine(_settings(), as_json=as_json))


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the API.

    Example: claimsight openapi > openapi.json
    """
    from app.commands import upkeep

    _finish(upkeep.openapi(_settings()))


def main() -> None:
    """The console script: every error is one sentence on stderr."""
    # Threads of the encoder that wait for each other: 30 us, not milliseconds, of a core that another process wants.
    # Read when PyTorch is loaded, by a server and by the workers that inherit it.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  The last resort of a command: its user gets a sentence, not a traceback.
        sentence, status = _told(error)
        typer.echo(sentence, err=True)
        sys.exit(status)


def _told(error: BaseException) -> tuple[str, int]:
    if isinstance(error, BaseExceptionGroup):
        return _told(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    if isinstance(error, InvalidInput):
        return error.detail, 2
    detail = getattr(error, "detail", None)
    if isinstance(error, ClaimsightError) or (isinstance(detail, str) and type(error).__name__ == "EncoderError"):
        return str(detail), 1
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}.", 1
    return f"Something went wrong that should not have ({type(error).__name__} at {place_of(error)}).", 1


if __name__ == "__main__":
    main()
