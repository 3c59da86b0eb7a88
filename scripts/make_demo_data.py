"""Draws the demo claims into app/demo/data: papers of our own, openly licensed photos, claims.json, CREDITS.md.

    python scripts/make_demo_data.py [--photos FOLDER]

The same code, fonts and photos give the same files. FOLDER holds labels.jsonl and the photos that it names; only
photos of the sources in LICENSED are read from it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from demo_data import layouts, pdf, reports, scans
from demo_data.bodywork import BODYWORK
from demo_data.cases import Case
from demo_data.glass import GLASS
from demo_data.persons import PERSONS
from demo_data.property import PROPERTY
from demo_data.scenes import SCENES
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "app" / "demo"
LICENSED = {
    "yatharthbhatia/car-damage-analysis": "CC BY 4.0",
    "jvk1chaitanya/fire-image-detection": "Apache-2.0",
}
# A photo of no claim, for the first try of a search by photo.
TRY_THIS = ("try-this.jpg", "tr2113")
CASES = (*GLASS, *BODYWORK, *PROPERTY, *PERSONS)
PAPERS = {
    "form": (layouts.claim_form, "claim-form"),
    "estimate": (layouts.estimate, "estimate"),
    "invoice": (layouts.invoice, "invoice"),
    "receipt": (layouts.receipt, "receipt"),
    "letter": (reports.letter, "letter"),
    "decision": (reports.decision, "decision"),
    "police": (reports.police, "police-report"),
    "expert": (reports.expert, "adjuster-report"),
    "medical": (reports.medical, "medical-bill"),
    "baggage": (reports.baggage, "baggage-report"),
}


@dataclass(frozen=True)
class Photo:
    """source: repository@commit:path."""

    path: Path
    source: str

    @property
    def licence(self) -> str:
        return LICENSED[self.source.split("@")[0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=REPOSITORY.parent / "shared" / "data" / "photos" / "train")
    photos = licensed_photos(parser.parse_args().photos)
    data = TARGET / "data"
    shutil.rmtree(data, ignore_errors=True)
    records: list[dict[str, object]] = []
    name, photo = TRY_THIS
    shutil.copyfile(photos[photo].path, TARGET / name)
    used = {name: photos[photo]}
    for case in CASES:
        files = draw(case, data / case.claim_id.lower(), photos, used)
        records.append(record(case, files))
    (TARGET / "claims.json").write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (TARGET / "CREDITS.md").write_text(credits(used), encoding="utf-8")
    files = [path for path in data.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{len(records)} claims, {len(files)} files, {size / 1e6:.2f} MB")


def licensed_photos(folder: Path) -> dict[str, Photo]:
    """The photos whose source states one of the licences in LICENSED, by id."""
    photos: dict[str, Photo] = {}
    for line in (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        if label["source"].split("@")[0] in LICENSED:
            photos[label["photo_id"]] = Photo(folder / label["file"], label["source"])
    return photos


def draw(case: Case, folder: Path, photos: dict[str, Photo], used: dict[str, Photo]) -> list[str]:
    """Writes the files of one case and returns their names, papers first."""
    folder.mkdir(parents=True)
    rng = Random(case.number)
    pictures: list[tuple[str, Image.Image]] = []
    for place, name in enumerate(case.photos, start=1):
        file = f"photo-{place}.jpg"
        if name in SCENES:
            picture = SCENES[name](rng)
            picture.save(folder / file, quality=82, optimize=True)
        else:
            used[f"data/{folder.name}/{file}"] = photos[name]
            shutil.copyfile(photos[name].path, folder / file)
            picture = Image.open(folder / file).convert("RGB")
        pictures.append((file, picture))
    case = replace(case, pictures=tuple(picture for _, picture in pictures))
    names: list[str] = []
    for paper in case.papers:
        kind, form = paper.split(":")
        layout, stem = PAPERS[kind]
        names.append(write(layout(case, rng), folder / stem, form, rng))
    return names + [file for file, _ in pictures]


def write(pages: list[Image.Image], stem: Path, form: str, rng: Random) -> str:
    """One paper as a file: pdf (printed, with its text), scan, phone (JPEG), fax (one-bit PDF), png. Its name."""
    if form == "pdf":
        path = stem.with_suffix(".pdf")
        pdf.write_pdf(path, [(page.convert("L") if _is_grey(page) else page, page.info["words"]) for page in pages])
    elif form == "fax":
        path = stem.with_suffix(".pdf")
        _save_fax([scans.faxed(page, rng) for page in pages], path)
    elif form == "png":
        path = stem.with_suffix(".png")
        pages[0].quantize(24, dither=Image.Dither.NONE).save(path, optimize=True)
    else:
        path = stem.with_suffix(".jpg")
        effect = scans.scanned if form == "scan" else scans.photographed
        effect(pages[0], rng).save(path, quality=42, optimize=True)
    return path.name


def _save_fax(pages: list[Image.Image], path: Path) -> None:
    first, *rest = pages
    moment = time.gmtime(1_767_225_600)
    first.save(path, save_all=True, append_images=rest, resolution=110, creationDate=moment, modDate=moment)


def _is_grey(page: Image.Image) -> bool:
    red, green, blue = page.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def record(case: Case, files: list[str]) -> dict[str, object]:
    """The claim as the API takes it, plus `files`: names in the claim's folder."""
    make, model, year = case.vehicle or (None, None, None)
    facts: dict[str, object] = {
        "claim_id": case.claim_id,
        "line": case.line,
        "status": case.status,
        "policy_id": case.policy_id,
        "loss_date": case.loss_date,
        "reported_date": case.reported_date,
        "loss_amount": case.amount,
        "currency": case.currency,
        "damage_types": list(case.damage),
        "location": {"city": case.city, "region": case.region, "country": case.country},
        "description": case.story,
        "attributes": dict(case.attributes),
        "files": files,
    }
    if make:
        facts["vehicle"] = {"make": make, "model": model, "year": year}
    return facts


def credits(used: dict[str, Photo]) -> str:
    lines = [
        "# Credits of the demo data",
        "",
        "Every person, firm, policy and claim is invented. The papers and the pictures not listed here are drawn by",
        "`scripts/make_demo_data.py`, which is part of Claimsight and under its licence.",
        "",
        "The photos below come from public repositories that state the licence in the last column:",
        "",
        "- yatharthbhatia/car-damage-analysis: the Roboflow Universe set capstone-nh0nc/car-damage-detection-t0g92,",
        "  CC BY 4.0, <https://creativecommons.org/licenses/by/4.0/>;",
        "- jvk1chaitanya/fire-image-detection: Apache-2.0, <https://www.apache.org/licenses/LICENSE-2.0>.",
        "",
        "They were scaled down to 320 pixels at most and saved again; nothing else was changed. The rights behind",
        "those statements were not checked further. The cars and buildings are not those of the invented claims.",
        "",
        "| file | source (repository@commit:path) | licence |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {photo.source} | {photo.licence} |" for name, photo in sorted(used.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
