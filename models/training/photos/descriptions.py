"""What people type for a photo or a page, and of which labels it is true.

A query is a handful of terms, one an aspect at most ("smashed", "rear", "windscreen"); it is true of the labels that
all its terms share. Labels are those of the training photos, and `page_TYPE` for the pages.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

PAGE_LABELS = ("page_receipt", "page_invoice", "page_table", "page_contract", "page_insurance", "page_report")
GLASS = ("car_windscreen_broken", "car_side_window_broken")
LAMPS = ("car_headlamp_broken", "car_taillamp_broken")
PANEL_DENTS = ("car_bonnet_damage", "car_boot_damage", "car_door_dent", "car_fender_damage")
DENTS = (*PANEL_DENTS, "car_bumper_dent")
SCRATCHES = ("car_door_scratch", "car_bumper_scratch")
MIXED = ("car_mixed_minor", "car_mixed_moderate")
CAR_DAMAGE = (*GLASS, *LAMPS, *DENTS, *SCRATCHES, *MIXED, "car_crash_severe")
CARS = (*CAR_DAMAGE, "car_undamaged")
FIRES = ("fire_house", "fire_room", "fire_wildland")
PARCELS, PHONES = ("parcel_damaged", "parcel_intact"), ("phone_screen_cracked", "phone_intact")
SURFACES = ("road_pothole", "pavement_crack", "wall_crack_hairline")
INTACT = ("car_undamaged", "parcel_intact", "phone_intact")
DAMAGED = (*CAR_DAMAGE, *FIRES, "flood_street", "parcel_damaged", "phone_screen_cracked", *SURFACES)
PHOTOS = (*DAMAGED, *INTACT)


@dataclass(frozen=True, slots=True)
class Term:
    """wordings: each means the same. labels: what it is true of. aspect: a query has one term of each at most."""

    aspect: str
    wordings: tuple[str, ...]
    labels: frozenset[str]


def _term(aspect: str, wordings: str, labels: Sequence[str]) -> Term:
    return Term(aspect, tuple(wordings.split(", ")), frozenset(labels))


TERMS = (
    # subjects
    _term("subject", "car, vehicle, auto, automobile, sedan, suv, hatchback, van, motor, insured vehicle", CARS),
    _term("subject", "parcel, package, box, carton, cardboard, cardboard box, shipment, delivery, freight", PARCELS),
    _term("subject", "phone, smartphone, mobile, mobile phone, cell phone, cellphone, iphone, handset", PHONES),
    _term("subject", "road, street, asphalt, tarmac, highway, lane", ("road_pothole", "flood_street")),
    _term("subject", "pavement, sidewalk, concrete, slab, driveway", ("pavement_crack",)),
    _term("subject", "wall, plaster, brick, facade, ceiling", ("wall_crack_hairline",)),
    _term("subject", "house, home, building, dwelling, residence, property", ("fire_house", "wall_crack_hairline")),
    _term("subject", "room, indoor, interior, kitchen, living room, bedroom, apartment", ("fire_room",)),
    _term("subject", "forest, woods, trees, bush, wildland, hillside, vegetation", ("fire_wildland",)),
    # parts
    _term("part", "windshield, windscreen, front glass, rear screen, back glass, rear window", GLASS[:1]),
    _term("part", "side window, door window, side glass, quarter glass, passenger window, driver window", GLASS[1:]),
    _term("part", "glass, window, windows, pane, glazing", GLASS),
    _term(
        "part", "bumper, front bumper, rear bumper, bumper cover, bumpers", ("car_bumper_dent", "car_bumper_scratch")
    ),
    _term(
        "part",
        "door, rear door, front door, door panel, passenger door, driver door, left door, right door",
        ("car_door_dent", "car_door_scratch"),
    ),
    _term("part", "fender, wing, quarter panel, mudguard, wheel arch, wheel well", ("car_fender_damage",)),
    _term("part", "bonnet, hood, engine cover", ("car_bonnet_damage",)),
    _term("part", "boot, trunk, tailgate, boot lid, trunk lid, hatch, liftgate", ("car_boot_damage",)),
    _term("part", "roof, panel, panels, sheet metal, bodywork, body, metal", PANEL_DENTS),
    _term("part", "headlight, headlamp, head light, front light, front lamp", LAMPS[:1]),
    _term("part", "taillight, tail lamp, tail light, rear light, brake light, rear lamp, backlight", LAMPS[1:]),
    _term("part", "light, lamp, lights, lens, light unit", LAMPS),
    _term("part", "paint, paintwork, lacquer, clear coat, varnish", SCRATCHES),
    _term("part", "screen, display, touchscreen, lcd, glass screen", PHONES),
    # kinds
    _term(
        "kind", "dent, dented, dents, ding, dinged, bump, pushed in, deformed, buckled, bent, hail, hail damage", DENTS
    ),
    _term(
        "kind", "scratch, scratched, scratches, scrape, scraped, scuff, scuffed, key scratch, keyed, grazed", SCRATCHES
    ),
    _term("kind", "shattered, smashed, splintered, broken glass, stone chip, glass breakage", GLASS),
    _term("kind", "broken, cracked, smashed, shattered, busted", (*GLASS, *LAMPS, "phone_screen_cracked")),
    _term(
        "kind",
        "crash, crashed, collision, wreck, wrecked, totaled, totalled, total loss, write off, accident, crushed, "
        "mangled, rollover, front end collision, severe damage",
        ("car_crash_severe",),
    ),
    _term("kind", "undamaged, intact, no damage, clean, unharmed, without damage, good condition, fine", INTACT),
    _term("kind", "fire, burning, flames, burnt, burned, smoke, blaze, fire damage, charred", FIRES),
    _term("kind", "wildfire, forest fire, bush fire, brush fire", ("fire_wildland",)),
    _term("kind", "house fire, structure fire, home fire", ("fire_house",)),
    _term(
        "kind",
        "flood, flooded, flooding, water, high water, inundated, submerged, standing water, storm water, burst "
        "pipe, water damage",
        ("flood_street",),
    ),
    _term("kind", "torn, ripped, crushed, squashed, damaged in transit, burst open, opened, wet", ("parcel_damaged",)),
    _term("kind", "pothole, potholes, hole, crater, road damage, broken road", ("road_pothole",)),
    _term(
        "kind", "crack, cracks, cracking, fissure, split, settlement crack", ("pavement_crack", "wall_crack_hairline")
    ),
    _term("kind", "hairline crack, hairline, thin crack, fine crack", ("wall_crack_hairline",)),
    _term("kind", "cracked screen, broken screen, shattered screen, cracked display, spider web", PHONES[:1]),
    _term("kind", "damage, damaged, damages, defect, loss, broken", DAMAGED),
    # how bad
    _term("degree", "minor, light, small, slight, cosmetic", (*SCRATCHES, "car_mixed_minor")),
    _term("degree", "moderate, medium", ("car_mixed_moderate", *DENTS)),
    _term("degree", "severe, heavy, major, bad, huge, extensive, serious", ("car_crash_severe", "parcel_damaged")),
    # what it is
    _term("form", "photo, picture, image, photograph, snapshot", PHOTOS),
    _term("form", "page, document, paper, scan, scanned page, text, paperwork, letter", PAGE_LABELS),
    _term(
        "form",
        "receipt, till receipt, sales slip, cash receipt, supermarket receipt, restaurant bill, voucher",
        PAGE_LABELS[:1],
    ),
    _term("form", "invoice, bill, billing statement, order form, statement of charges", PAGE_LABELS[1:2]),
    _term("form", "form, filled form, application form, questionnaire, claim form", ("page_invoice", "page_insurance")),
    _term("form", "table, spreadsheet, columns, rows of numbers, list, chart, figures", ("page_table",)),
    _term(
        "form",
        "contract, agreement, legal text, terms, nondisclosure agreement, clauses, signed agreement",
        ("page_contract",),
    ),
    _term("form", "insurance, loss run, policy, claims list, insurance report, loss history", ("page_insurance",)),
    _term("form", "report, article, paper with figures, study", ("page_report",)),
)
FILLERS = ("a", "the", "on", "of", "with", "to", "in", "my", "and", "from", "at", "left", "right", "rear", "front")


def draw_query(rng: random.Random) -> tuple[str, frozenset[str]]:
    """Words as somebody may type them, and the labels that they are true of (at least one)."""
    while True:
        terms = {term.aspect: term for term in rng.choices(TERMS, k=rng.choice((1, 1, 2, 2, 2, 3)))}
        labels = frozenset.intersection(*(term.labels for term in terms.values()))
        if labels:
            break
    words = [rng.choice(term.wordings) for term in terms.values()]
    rng.shuffle(words)
    if rng.random() < 0.3:
        words.insert(rng.randrange(len(words) + 1), rng.choice(FILLERS))
    return " ".join(words), labels
