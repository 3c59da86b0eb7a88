"""Letters and reports: flowing words, seals, sketches and photos on a page."""

from __future__ import annotations

from random import Random

from PIL import Image

from demo_data.cases import Case, money
from demo_data.layouts import INSURER, NAVY
from demo_data.paper import FAINT, GREY, PEN, Sheet


def letter(case: Case, rng: Random) -> list[Image.Image]:
    """A letter of the policyholder, by typewriter face or serif."""
    face = "mono" if case.number % 2 else "serif"
    size = 16 if face == "mono" else 19
    sheet = Sheet(rng, paper=(252, 251, 246))
    y = 70.0
    for words in (case.holder, f"{rng.randrange(2, 99)} Chapel Street", f"{case.city}, {case.region}"):
        y = sheet.text(560, y, words, size=size, face=face)
    y = sheet.text(80, y + 40, INSURER, size=size, face=face)
    y = sheet.text(80, y, "Claims department", size=size, face=face)
    y = sheet.text(560, y + 24, case.reported_date, size=size, face=face)
    bold = "mono-bold" if face == "mono" else "serif-bold"
    y = sheet.text(80, y + 34, f"Claim {case.claim_id}, policy {case.policy_id}", size=size, face=bold)
    y = sheet.text(80, y + 24, "Dear Sir or Madam,", size=size, face=face)
    y = sheet.paragraph(80, y + 14, 750, case.story, size=size, face=face)
    y = sheet.paragraph(
        80,
        y + 14,
        750,
        f"The loss comes to {money(case.amount, case.currency)}. I enclose what I have and ask you to settle it.",
        size=size,
        face=face,
    )
    sheet.text(80, y + 30, "Yours faithfully,", size=size, face=face)
    sheet.signature(90, y + 100, case.holder)
    return [sheet.image]


def decision(case: Case, rng: Random) -> list[Image.Image]:
    """The insurer's settlement or refusal."""
    sheet = Sheet(rng)
    sheet.logo(60, 56, "shield", NAVY)
    sheet.text(132, 66, INSURER, size=24, face="serif-bold", ink=NAVY)
    sheet.line(60, 130, 850, 130, ink=NAVY, width=2)
    y = sheet.text(60, 160, case.holder, size=17)
    y = sheet.text(60, y, f"{case.city}, {case.country}", size=17)
    heading = "We cannot pay this claim" if case.status == "denied" else "Settlement of your claim"
    y = sheet.text(60, y + 60, heading, size=27, face="serif-bold")
    y = sheet.text(60, y + 6, f"Claim {case.claim_id} - loss of {case.loss_date}", size=16, ink=GREY)
    y = sheet.paragraph(60, y + 26, 780, case.outcome, size=18, face="serif")
    deductible = float(case.attributes.get("deductible", 0))
    if case.status != "denied":
        rows = [
            ("Settlement", "Amount"),
            ("Assessed loss", money(case.amount, case.currency)),
            ("Less your deductible", money(deductible, case.currency)),
            ("Paid to you", money(max(0.0, case.amount - deductible), case.currency)),
        ]
        y = sheet.table(60, y + 30, (560, 220), rows, right=(1,), size=16)
    y = sheet.paragraph(60, y + 36, 780, "If you do not agree, write to us within one month.", size=16, ink=GREY)
    sheet.signature(70, y + 70, "Claims handler")
    if case.status == "denied":
        sheet.stamp(590, 230, "DECLINED", angle=14)
    return [sheet.image]


def police(case: Case, rng: Random) -> list[Image.Image]:
    """An incident report with a seal and a sketch of the scene."""
    sheet = Sheet(rng, paper=(250, 250, 247))
    sheet.box(40, 40, 830, 1207, edge=GREY)
    sheet.draw.ellipse((64, 62, 144, 142), outline=NAVY, width=4)
    sheet.draw.ellipse((80, 78, 128, 126), outline=NAVY, width=3)
    sheet.text(104, 102, "POLICE", size=14, face="bold", ink=NAVY, at="mm")
    sheet.text(170, 72, f"Police department {case.city}", size=26, face="narrow-bold")
    sheet.text(170, 108, f"Incident report {rng.randrange(100, 999)}-{rng.randrange(10000, 99999)}", size=18)
    sheet.line(40, 166, 870, 166, ink=GREY)
    rows = [
        ("Item", "Entry"),
        ("Date of incident", case.loss_date),
        ("Place", f"{case.city}, {case.region}"),
        ("Reported by", case.holder),
        ("Kind of incident", ", ".join(case.damage)),
        ("Estimated damage", money(case.amount, case.currency)),
    ]
    y = sheet.table(64, 190, (230, 552), rows, head=(226, 228, 232), size=16)
    y = sheet.text(64, y + 30, "Narrative", size=18, face="bold")
    y = sheet.paragraph(64, y + 4, 780, case.story, size=17, face="mono")
    y = sheet.text(64, y + 24, "Sketch (not to scale)", size=18, face="bold")
    _sketch(sheet, y + 8, rng)
    sheet.signature(90, 1160, f"Officer, badge {rng.randrange(1000, 9999)}")
    sheet.stamp(600, 1120, "COPY", ink=NAVY, angle=8)
    return [sheet.image]


def _sketch(sheet: Sheet, y: float, rng: Random) -> None:
    sheet.box(64, y, 782, 320, edge=GREY, fill=(255, 255, 255))
    middle = y + 160
    sheet.line(64, middle - 50, 846, middle - 50, width=2)
    sheet.line(64, middle + 50, 846, middle + 50, width=2)
    for x in range(80, 840, 60):
        sheet.line(x, middle, x + 30, middle, ink=GREY, width=2)
    for x, name in ((rng.randrange(150, 300), "A"), (rng.randrange(480, 650), "B")):
        top = middle - 42 + rng.randrange(0, 44)
        sheet.draw.rounded_rectangle((x, top, x + 110, top + 40), radius=10, outline=PEN, width=3)
        sheet.text(x + 55, top + 20, name, size=20, face="bold", ink=PEN, at="mm")
        sheet.line(x + 112, top + 20, x + 150, top + 20, ink=PEN, width=3)
    sheet.text(790, y + 20, "N", size=18, face="bold")
    sheet.line(797, y + 44, 797, y + 80, width=2)


def expert(case: Case, rng: Random) -> list[Image.Image]:
    """A loss adjuster's report of two pages: findings with the photo, then the costing."""
    first = Sheet(rng)
    first.text(60, 58, "LOSS ADJUSTER'S REPORT", size=26, face="narrow-bold", ink=NAVY)
    first.text(850, 66, f"{case.claim_id} - page 1 of 2", size=14, ink=GREY, at="ra")
    first.line(60, 100, 850, 100, ink=NAVY, width=3)
    y = first.text(60, 124, f"Insured: {case.holder}   Policy: {case.policy_id}", size=17)
    y = first.text(60, y, f"Inspected in {case.city}, {case.region}; loss of {case.loss_date}", size=17)
    y = first.text(60, y + 18, "1  Findings", size=20, face="bold")
    y = first.paragraph(60, y + 6, 790, case.story, size=17, face="serif")
    if case.pictures:
        photo = case.pictures[0].copy()
        photo.thumbnail((560, 420))
        photo = photo.resize((photo.width * 520 // photo.width, photo.height * 520 // photo.width))
        first.image.paste(photo, (60, int(y) + 20))
        y += photo.height + 26
        y = first.text(60, y, f"Photo 1: {', '.join(case.damage)}", size=14, face="italic", ink=GREY)
    y = first.text(60, y + 18, "2  Cause", size=20, face="bold")
    first.paragraph(60, y + 6, 790, case.outcome, size=17, face="serif")
    second = Sheet(rng)
    second.text(60, 58, "LOSS ADJUSTER'S REPORT", size=26, face="narrow-bold", ink=NAVY)
    second.text(850, 66, f"{case.claim_id} - page 2 of 2", size=14, ink=GREY, at="ra")
    second.line(60, 100, 850, 100, ink=NAVY, width=3)
    second.text(60, 128, "3  Costing", size=20, face="bold")
    rows = [("Position", "Qty", "Amount")]
    rows += [(words, f"{count:g}", money(count * price, case.currency)) for words, count, price in case.items]
    rows.append((f"Tax {case.tax_rate:.0%}", "", money(case.tax_amount, case.currency)))
    rows.append(("Total", "", money(case.amount, case.currency)))
    y = second.table(60, 168, (510, 90, 190), rows, right=(1, 2), size=16)
    y = second.text(60, y + 34, "4  Breakdown", size=20, face="bold") + 10
    largest = max(count * price for _, count, price in case.items)
    for words, count, price in case.items:
        share = count * price / largest
        second.text(60, y, words[:40], size=14)
        second.box(400, y, 420 * share, 20, edge=None, fill=NAVY)
        y += 34
    y = second.paragraph(
        60, y + 30, 780, "Reserve as above. No sign of wilful damage. Salvage: none.", size=17, face="serif"
    )
    second.signature(70, y + 60, "Chartered loss adjuster")
    return [first.image, second.image]


def medical(case: Case, rng: Random) -> list[Image.Image]:
    """A clinic's bill with codes, a diagnosis and a doctor's stamp."""
    teal = (14, 110, 128)
    sheet = Sheet(rng)
    sheet.logo(60, 48, "cross", teal)
    sheet.text(134, 54, case.firm, size=27, face="bold", ink=teal)
    sheet.text(134, 88, f"{case.city}, {case.region}", ink=GREY)
    sheet.line(60, 124, 850, 124, ink=teal, width=2)
    sheet.field(60, 150, 390, "Patient", case.holder)
    sheet.field(
        460, 150, 180, "Date of birth", f"{rng.randrange(1950, 2004)}-0{rng.randrange(1, 9)}-1{rng.randrange(0, 9)}"
    )
    sheet.field(650, 150, 200, "Visit", case.loss_date)
    sheet.field(60, 206, 790, "Diagnosis", case.outcome[:90])
    rows = [("Code", "Treatment", "Qty", "Fee", "Amount")]
    for words, count, price in case.items:
        code = f"{rng.choice('ABGM')}{rng.randrange(100, 999)}"
        rows.append(
            (
                code,
                words,
                f"{count:g}",
                money(price, case.currency, sign=False),
                money(count * price, case.currency, sign=False),
            )
        )
    y = sheet.table(60, 280, (90, 400, 60, 110, 130), rows, head=(222, 240, 242), right=(2, 3, 4), size=15)
    sheet.text(842, y + 20, f"To pay  {money(case.amount, case.currency)}", size=21, face="bold", at="ra")
    y = sheet.text(60, y + 80, "Notes", size=17, face="bold")
    y = sheet.paragraph(60, y, 780, case.story, size=16)
    sheet.draw.ellipse((600, y + 50, 740, y + 190), outline=teal, width=3)
    sheet.text(670, y + 108, "Dr. med.", size=18, face="italic", ink=teal, at="mm")
    sheet.text(670, y + 132, case.city, size=15, face="italic", ink=teal, at="mm")
    sheet.signature(560, y + 120, "")
    return [sheet.image]


def baggage(case: Case, rng: Random) -> list[Image.Image]:
    """An airline's property irregularity report: small boxes and block letters."""
    red = (158, 28, 52)
    sheet = Sheet(rng)
    sheet.logo(60, 50, "wing", red)
    sheet.text(132, 56, case.firm, size=25, face="bold", ink=red)
    sheet.text(132, 90, "PROPERTY IRREGULARITY REPORT (PIR)", size=18, face="narrow-bold")
    reference = f"{case.city[:3].upper()}NL{rng.randrange(10000, 99999)}"
    for place, letter_ in enumerate(reference):
        sheet.box(60 + place * 34, 140, 34, 40)
        sheet.text(77 + place * 34, 160, letter_, size=20, face="mono-bold", at="mm")
    sheet.field(60, 204, 390, "Passenger name", case.holder.upper())
    sheet.field(460, 204, 180, "Flight", f"NL {rng.randrange(100, 999)}")
    sheet.field(650, 204, 200, "Date", case.loss_date)
    sheet.field(60, 260, 390, "Bag tag number", f"0{rng.randrange(10**8, 10**9)}")
    sheet.field(460, 260, 390, "Colour and type of bag", case.outcome[:44])
    y = sheet.text(60, 330, "Contents and damage as stated by the passenger", size=16, face="bold")
    y = sheet.paragraph(60, y + 4, 790, case.story, size=16)
    rows = [("Article", "Pieces", "Value"), *((w, f"{c:g}", money(c * p, case.currency)) for w, c, p in case.items)]
    y = sheet.table(60, y + 20, (510, 90, 190), rows, right=(1, 2), size=15)
    x = sheet.tick(60, y + 30, "missing", "lost baggage" in case.damage)
    x = sheet.tick(x, y + 30, "damaged", "damaged baggage" in case.damage)
    sheet.tick(x, y + 30, "delayed", "delayed baggage" in case.damage)
    sheet.signature(80, y + 110, "Passenger")
    sheet.signature(520, y + 110, "Airline agent")
    sheet.line(60, sheet.height - 80, 850, sheet.height - 80, ink=FAINT)
    sheet.text(60, sheet.height - 66, "Keep this report. It is not an admission of liability.", size=13, ink=GREY)
    return [sheet.image]
