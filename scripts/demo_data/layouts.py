"""The papers of a claim: forms, estimates, invoices, receipts, letters and reports, in several layouts."""

from __future__ import annotations

from random import Random

from PIL import Image

from demo_data.cases import Case, Items, money
from demo_data.paper import FAINT, GREY, INK, Colour, Sheet

NAVY: Colour = (24, 54, 98)
INSURER = "Northlake Mutual Insurance"
_PALETTE: tuple[Colour, ...] = ((24, 54, 98), (16, 104, 92), (142, 42, 44), (70, 60, 120), (40, 92, 44), (176, 96, 20))


def claim_form(case: Case, rng: Random) -> list[Image.Image]:
    """Two layouts: a boxed office form filled in by pen, and a plain form printed from a web page."""
    return [_boxed_form(case, rng) if case.number % 3 else _web_form(case, rng)]


def _boxed_form(case: Case, rng: Random) -> Image.Image:
    sheet = Sheet(rng, paper=(255, 254, 249))
    sheet.logo(60, 52, "shield", NAVY)
    sheet.text(134, 54, INSURER, size=26, face="serif-bold", ink=NAVY)
    sheet.text(134, 88, f"{case.line.capitalize()} insurance - notice of loss", size=17, ink=GREY)
    sheet.barcode(690, 58, 150, 36)
    sheet.text(690, 98, case.claim_id, size=13, face="mono")
    sheet.field(60, 150, 390, "Policyholder", case.holder, pen=True)
    sheet.field(460, 150, 180, "Policy number", case.policy_id, pen=True)
    sheet.field(650, 150, 200, "Telephone", f"+{rng.randrange(30, 50)} 555 0{rng.randrange(100, 199)}", pen=True)
    sheet.field(60, 206, 390, "Place of loss", f"{case.city}, {case.region}", pen=True)
    sheet.field(460, 206, 180, "Date of loss", case.loss_date, pen=True)
    sheet.field(650, 206, 200, "Reported on", case.reported_date, pen=True)
    y = 276
    if case.vehicle:
        make, model, year = case.vehicle
        sheet.field(60, 262, 260, "Vehicle", f"{make} {model}", pen=True)
        sheet.field(330, 262, 120, "Year", str(year), pen=True)
        sheet.field(460, 262, 390, "Where can it be seen?", f"{case.firm}, {case.city}", pen=True)
        y = 332
    sheet.text(60, y, "1  What was damaged or lost?", size=16, face="bold")
    x = 60.0
    for choice in dict.fromkeys((*case.damage, *_other_kinds(case.line))):
        if x > 700:
            break
        x = sheet.tick(x, y + 32, choice, choice in case.damage)
    sheet.text(60, y + 70, "2  What happened? Please describe in your own words.", size=16, face="bold")
    sheet.box(60, y + 98, 790, 250, edge=GREY)
    line_y = y + 108
    for words in _wrapped(case.story, 74)[:7]:
        sheet.hand(76, line_y, words, size=22)
        sheet.line(70, line_y + 28, 840, line_y + 28, ink=FAINT)
        line_y += 34
    y += 372
    sheet.text(60, y, "3  Amount claimed", size=16, face="bold")
    sheet.field(60, y + 28, 260, "Estimated loss", money(case.amount, case.currency), pen=True)
    sheet.field(330, y + 28, 520, "Papers enclosed", "estimate, photos" if case.photos else "invoices", pen=True)
    sheet.text(60, y + 100, "4  Were the police called?", size=16, face="bold")
    x = sheet.tick(60, y + 130, "yes", "police" in case.papers)
    sheet.tick(x, y + 130, "no", "police" not in case.papers)
    sheet.paragraph(
        60,
        y + 176,
        780,
        "I declare that the statements above are true and complete. I agree that the insurer may ask the police, "
        "repairers and doctors named here about this loss.",
        size=13,
        ink=GREY,
    )
    sheet.hand(70, y + 236, f"{case.city}, {case.reported_date}", size=20)
    sheet.line(60, y + 266, 330, y + 266)
    sheet.text(60, y + 270, "Place and date", size=12, ink=GREY)
    sheet.signature(500, y + 240, "Signature of the policyholder")
    if case.status in ("paid", "closed", "denied"):
        inks: dict[str, Colour] = {"paid": (30, 120, 60), "closed": (60, 70, 140), "denied": (178, 34, 44)}
        sheet.stamp(610, y + 60, case.status.upper(), ink=inks[case.status], angle=rng.uniform(6, 16))
    return sheet.image


def _web_form(case: Case, rng: Random) -> Image.Image:
    sheet = Sheet(rng)
    sheet.box(0, 0, sheet.width, 84, edge=None, fill=(16, 104, 92))
    sheet.text(56, 28, "northlake online - claim submitted", size=25, face="bold", ink=(255, 255, 255))
    sheet.text(56, 112, f"Your reference {case.claim_id}", size=21, face="bold")
    sheet.text(56, 142, f"Received {case.reported_date} at {rng.randrange(8, 22)}:{rng.randrange(10, 59)}", ink=GREY)
    rows = [
        ("Name", case.holder),
        ("Policy", f"{case.policy_id} ({case.line})"),
        ("Date of loss", case.loss_date),
        ("Place", f"{case.city}, {case.region}, {case.country}"),
        ("Type of damage", ", ".join(case.damage)),
        ("Amount", money(case.amount, case.currency)),
    ]
    if case.vehicle:
        rows.insert(3, ("Vehicle", " ".join(str(part) for part in case.vehicle)))
    y = 196.0
    for name, value in rows:
        sheet.text(56, y, name, ink=GREY)
        sheet.text(300, y, value, face="bold")
        sheet.line(56, y + 30, 854, y + 30, ink=FAINT)
        y += 46
    sheet.text(56, y + 16, "Description", ink=GREY)
    y = sheet.paragraph(56, y + 46, 780, case.story, size=17)
    sheet.box(56, y + 24, 798, 84, edge=FAINT, fill=(244, 248, 247))
    sheet.text(76, y + 40, "What happens next", face="bold")
    sheet.text(76, y + 68, "We look at your papers within two working days and write to you by e-mail.", size=14)
    sheet.text(56, sheet.height - 50, "Page 1 of 1 - printed from the customer portal", size=12, ink=GREY)
    return sheet.image


def _other_kinds(line: str) -> tuple[str, ...]:
    return {
        "auto": ("glass", "dent", "scratch", "theft"),
        "property": ("water", "fire", "storm", "theft"),
        "travel": ("baggage", "cancellation", "delay"),
        "health": ("accident", "illness", "dental"),
    }.get(line, ("property damage", "injury"))


def _wrapped(words: str, width: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def estimate(case: Case, rng: Random) -> list[Image.Image]:
    """A repairer's estimate with numbered lines, tax and total; German workshops write it in German."""
    german = case.country == "DE"
    colour = _PALETTE[case.number % len(_PALETTE)]
    sheet = Sheet(rng)
    kind = "wrench" if case.line == "auto" else "house"
    sheet.box(0, 0, sheet.width, 12, edge=None, fill=colour)
    sheet.logo(60, 46, kind, colour)
    sheet.text(134, 48, case.firm, size=28, face="bold", ink=colour)
    street = f"{rng.randrange(2, 180)} {rng.choice(('Mill Lane', 'Station Road', 'Harbour Street', 'Oak Avenue'))}"
    if german:
        street = f"{rng.choice(('Hafenweg', 'Lindenallee', 'Am Markt'))} {rng.randrange(2, 90)}"
    sheet.text(134, 84, f"{street}, {case.city}", ink=GREY)
    title = "Kostenvoranschlag" if german else ("Repair estimate" if case.line == "auto" else "Quotation")
    sheet.text(60, 150, title, size=30, face="serif-bold")
    sheet.text(850, 156, f"No. {rng.randrange(10000, 99999)}   {case.reported_date}", at="ra")
    words = ("Kunde", "Fahrzeug", "Schadennummer") if german else ("Customer", "Vehicle", "Claim")
    y = sheet.text(60, 208, f"{words[0]}: {case.holder}", size=16)
    if case.vehicle:
        y = sheet.text(60, y, f"{words[1]}: {' '.join(str(part) for part in case.vehicle)}", size=16)
    y = sheet.text(60, y, f"{words[2]}: {case.claim_id}", size=16)
    head = (
        ("Pos.", "Arbeit / Teil", "Menge", "Einzel", "Betrag")
        if german
        else ("", "Work / part", "Qty", "Price", "Amount")
    )
    rows = [head, *_item_rows(case.items, case.currency)]
    y = sheet.table(60, y + 24, (50, 440, 70, 110, 120), rows, right=(2, 3, 4), rules=case.number % 2 == 0)
    y = _totals(sheet, case, y + 14, german=german)
    note = (
        "Dieses Angebot gilt 30 Tage. Zahlungsziel 14 Tage nach Rechnung."
        if german
        else "This estimate is valid for 30 days. Hidden damage found during the work is charged after approval."
    )
    sheet.paragraph(60, y + 40, 520, note, size=14, ink=GREY)
    sheet.signature(600, y + 90, "Werkstattleitung" if german else "Workshop manager")
    if rng.random() < 0.45:
        sheet.stamp(90, y + 110, "APPROVED", ink=(30, 110, 60), angle=rng.uniform(-14, 10))
    return [sheet.image]


def invoice(case: Case, rng: Random) -> list[Image.Image]:
    """A two-column invoice, the issuer on the right, totals in a dark band."""
    colour = _PALETTE[(case.number + 2) % len(_PALETTE)]
    sheet = Sheet(rng, paper=(253, 253, 255))
    sheet.text(60, 60, "INVOICE", size=44, face="narrow-bold", ink=colour)
    sheet.text(850, 62, case.firm, size=20, face="bold", at="ra")
    sheet.text(850, 90, f"{rng.randrange(2, 120)} Market Square, {case.city}", size=14, ink=GREY, at="ra")
    sheet.text(850, 110, f"VAT {case.country}{rng.randrange(10**8, 10**9)}", size=14, ink=GREY, at="ra")
    sheet.box(60, 150, 380, 100, edge=FAINT)
    sheet.text(74, 158, "Invoice to", size=12, ink=GREY)
    sheet.text(74, 180, case.holder, size=17, face="bold")
    sheet.text(74, 206, f"{case.city}, {case.region}", size=15)
    sheet.box(460, 150, 390, 100, edge=FAINT)
    sheet.text(474, 158, "Reference", size=12, ink=GREY)
    sheet.text(474, 180, f"Claim {case.claim_id}", size=17, face="bold")
    sheet.text(474, 206, f"Invoice {rng.randrange(2000, 9999)} of {case.reported_date}", size=15)
    rows = [("#", "Description", "Qty", "Unit", "Total"), *_item_rows(case.items, case.currency)]
    y = sheet.table(60, 290, (46, 444, 60, 120, 120), rows, head=(225, 231, 240), right=(2, 3, 4), size=15)
    y = _totals(sheet, case, y + 10)
    sheet.box(60, y + 20, 790, 56, edge=None, fill=colour)
    sheet.text(80, y + 36, "Total due", size=20, face="bold", ink=(255, 255, 255))
    sheet.text(830, y + 36, money(case.amount, case.currency), size=22, face="bold", ink=(255, 255, 255), at="ra")
    sheet.paragraph(
        60, y + 110, 780, "Please pay within 14 days. Bank transfer only, quote the invoice number.", ink=GREY
    )
    if case.status == "paid":
        sheet.stamp(560, y + 150, "PAID", ink=(176, 40, 40), angle=rng.uniform(6, 20))
    return [sheet.image]


def receipt(case: Case, rng: Random) -> list[Image.Image]:
    """A narrow till slip."""
    items = case.items
    sheet = Sheet(rng, size=(420, 470 + 34 * len(items)), paper=(250, 249, 244))
    sheet.text(210, 34, case.firm.upper(), size=22, face="mono-bold", at="ma")
    sheet.text(210, 64, case.city, size=16, face="mono", at="ma")
    sheet.text(
        210, 88, f"{case.loss_date}  {rng.randrange(9, 21)}:{rng.randrange(10, 59)}", size=16, face="mono", at="ma"
    )
    sheet.text(210, 122, "-" * 34, size=17, face="mono", at="ma")
    y = 152
    for words, quantity, price in items:
        sheet.text(24, y, f"{quantity:g} {words[:24]}", size=16, face="mono")
        sheet.text(396, y, f"{quantity * price:.2f}", size=16, face="mono", at="ra")
        y += 34
    sheet.text(210, y, "-" * 34, size=17, face="mono", at="ma")
    sheet.text(24, y + 30, "TAX", size=17, face="mono")
    sheet.text(396, y + 30, f"{case.tax_amount:.2f}", size=17, face="mono", at="ra")
    sheet.text(24, y + 62, "TOTAL", size=24, face="mono-bold")
    sheet.text(396, y + 62, money(case.amount, case.currency), size=22, face="mono-bold", at="ra")
    sheet.text(24, y + 104, f"CARD **** {rng.randrange(1000, 9999)}", size=16, face="mono")
    sheet.barcode(90, y + 150, 240, 56)
    sheet.text(210, y + 226, "THANK YOU", size=18, face="mono", at="ma")
    return [sheet.image]


def _item_rows(items: Items, currency: str) -> list[tuple[str, str, str, str, str]]:
    return [
        (
            str(place),
            words,
            f"{quantity:g}",
            money(price, currency, sign=False),
            money(quantity * price, currency, sign=False),
        )
        for place, (words, quantity, price) in enumerate(items, start=1)
    ]


def _totals(sheet: Sheet, case: Case, y: float, *, german: bool = False) -> float:
    names = ("Netto", "MwSt.", "Gesamtbetrag") if german else ("Subtotal", "Tax", "Total")
    rows = (
        (names[0], money(case.net_amount, case.currency)),
        (f"{names[1]} {case.tax_rate:.0%}", money(case.tax_amount, case.currency)),
        (names[2], money(case.amount, case.currency)),
    )
    for place, (name, value) in enumerate(rows):
        face = "bold" if place == 2 else "sans"
        sheet.text(680, y, name, size=16, face=face, ink=INK, at="ra")
        sheet.text(842, y, value, size=16, face=face, at="ra")
        y += 28
    return y
