"""The REST API: `create_app(services)`. Nothing is built at import."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app import problems
from app.access import NEEDS, AccessTable
from app.guard import Guard
from app.reference import render_reference
from app.routes import assets, claims, facets, health, holds, jobs, me, pages, search
from app.schemas.search import ExplainRequest, SearchRequest
from app.services import Services

VERSION = "0.1.0"
_DESCRIPTION = """Vision RAG retrieval for insurance claims: pages and photos are searched as pictures, without OCR.

Errors are problem details (RFC 9457) with a stable `code`; `field` names what is wrong and `request_id` finds the log.
Send `X-Request-ID` to choose the id yourself. Lists have cursors: send `next_cursor` as `cursor` for what follows."""
_TAGS = [
    {"name": "claims", "description": "Facts of claims."},
    {"name": "files", "description": "Uploads and what became of them."},
    {"name": "pages", "description": "Pages and photos as pictures."},
    {"name": "search", "description": "By words, by picture, by a page, with filters on claim facts."},
    {"name": "jobs", "description": "The ingest of an upload."},
    {"name": "me", "description": "Who asks."},
    {"name": "health", "description": "For the one who runs it."},
]


def create_app(services: Services) -> FastAPI:
    """The API over these services, which it closes at its end. Raises RuntimeError for a route that app.access does not
    know."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        await services.intake.sweep()
        await services.journal.recover()
        services.warm_up()
        yield
        await services.close()

    app = FastAPI(
        title="Claimsight",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        lifespan=lifespan,
        # FastAPI's own pages load scripts from other servers; /docs is ours and loads nothing.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.services = services
    access = AccessTable(NEEDS)
    problems.install(app, access)
    for room in (claims, holds, assets, pages, search, jobs, facets, me, health):
        app.include_router(room.router)

    @app.get("/docs", include_in_schema=False)
    async def get_docs() -> HTMLResponse:
        html, policy = render_reference(app.openapi())
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    access.require_complete(app)
    app.add_middleware(Guard, services=services, access=access)
    _add_form_models(app, SearchRequest, ExplainRequest)
    return app


def _add_form_models(app: FastAPI, *models: type[BaseModel]) -> None:
    """Models of bodies that routes read themselves, which FastAPI therefore does not list."""
    listed = app.openapi

    def openapi() -> dict[str, Any]:
        document = listed()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in models:
            if model.__name__ not in schemas:
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
        if "securitySchemes" not in document["components"]:
            document["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "Where the server has an API key."}
            }
            document["security"] = [{}, {"key": []}]
        return document

    app.openapi = openapi
