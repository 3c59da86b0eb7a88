"""Claim facts as small pieces of HTML: money, dates, chips. Every value from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from html import escape

from ui.records import Claim

_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "CAD": "C$", "CHF": "CHF ", "AUD": "A$", "JPY": "¥"}


def money(amount: float | None, currency: str, *, cents: bool = False) -> str:
    """ "€1,240", or "not known"."""
    if amount is None:
        return "not known"
    sign = _SIGNS.get(currency, f"{currency} " if currency else "")
    return f"{sign}{amount:,.2f}" if cents else f"{sign}{amount:,.0f}"


def day(moment: date | None) -> str:
    return f"{moment.day} {moment:%b %Y}" if moment else ""


def counted(count: int, noun: str) -> str:
    """ "1 page", "2 pages"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def chips(words: Iterable[str]) -> str:
    return "".join(f'<span class="cs-chip">{escape(word)}</span>' for word in words)


def status_badge(status: str) -> str:
    known = status if status in ("open", "closed", "denied", "paid") else "closed"
    return f'<span class="cs-status cs-status-{known}">{escape(status)}</span>'


def meta_line(claim: Claim) -> str:
    """Vehicle, date of loss and place, what is known of them."""
    return " · ".join(escape(part) for part in (claim.vehicle, day(claim.loss_date), claim.place) if part)


def definition_list(rows: Iterable[tuple[str, str]]) -> str:
    """Rows with a value as a <dl>; values are escaped here."""
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows if value)
    return f'<dl class="cs-facts">{cells}</dl>'


def attribute(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,}"
    return str(value)
