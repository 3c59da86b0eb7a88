"""The dashboard's script in-process, against a small API of the documented shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.ui.fake_api import FakeApi, serving
from ui import backend

MAIN = Path(__file__).parents[2] / "ui" / "main.py"
OpenPage = Callable[..., AppTest]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """The first fourteen demo claims."""
    with serving(FakeApi.of_demo(count=14)) as running:
        yield running


@pytest.fixture
def open_page(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenPage]:
    """Opens a page of the dashboard with address parameters: open_page("views/claim.py", claim="C-1")."""
    monkeypatch.setenv("CLAIMSIGHT_API_URL", api.url)
    monkeypatch.setattr("ui.entry.provider_is_set", lambda: False)

    def opened(page: str | None = None, **params: str) -> AppTest:
        test = AppTest.from_file(str(MAIN), default_timeout=60)
        if page is not None:
            test.switch_page(page)
        for name, value in params.items():
            test.query_params[name] = value
        return test.run()

    yield opened
    backend.client().close()
    st.cache_data.clear()
    st.cache_resource.clear()
