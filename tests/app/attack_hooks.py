"""What generated requests leave out: answers that the API does not give itself. Loaded by pytest and by the script."""

from __future__ import annotations

import schemathesis
from schemathesis import Case, HookContext

LONGEST_URL = 20_000
"""Bytes. A request line beyond 32 KiB is refused before it is a request, in plain text."""


@schemathesis.hook
def filter_case(context: HookContext, case: Case) -> bool:
    return len(repr(case.query or "")) < LONGEST_URL // 12
