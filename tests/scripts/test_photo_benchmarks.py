"""The photo benchmarks: what is asked, what counts as right, and which photos may be shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops

from models.training.photos.data import HELD_OUT, SEVERITY_ONLY, Entry
from models.training.photos.descriptions import PHOTOS
from scripts.bench import photos
from scripts.bench.photo_changes import CHANGES
from scripts.bench.photo_wordings import WORDINGS
from scripts.bench_photo_changes import figures
from scripts.bench_photo_words import answers, by_chance, rows_of
from scripts.bench_photos import alike_sheet, held_out_rows


def entry(fine: str, *, source: str = "a/b") -> Entry:
    return Entry(Path("x.jpg"), fine, fine.split("_")[0], "", "", "", source)


def test_only_photos_of_sources_that_license_their_pictures_are_shown() -> None:
    entries = [entry("car_a", source=source) for source in ("a/b", photos.SHOWABLE[0], "VadimsRomanovskis/x")]
    assert photos.showable(entries) == [1]


def test_every_change_has_three_strengths_that_differ() -> None:
    picture = Image.linear_gradient("L").resize((160, 120)).convert("RGB")
    picture.paste((250, 20, 20), (20, 30, 60, 90))
    for name, strengths in CHANGES.items():
        made = [change(picture) for _, change in strengths]
        assert len({label for label, _ in strengths}) == len(made) == 3, name
        seen = [one.resize((64, 48)) for one in (picture, *made)]
        for i, one in enumerate(seen):
            for other in seen[:i]:
                assert ImageChops.difference(one, other).getbbox() is not None, name


def test_a_change_is_what_it_is_called() -> None:
    picture = Image.new("RGB", (200, 100), "white")
    picture.paste("black", (0, 0, 100, 100))
    changed = {name: [change(picture) for _, change in strengths] for name, strengths in CHANGES.items()}
    assert [one.size for one in changed["crop"]] == [(180, 90), (150, 75), (120, 60)]
    assert changed["resize"][0].size == (100, 50)
    assert changed["mirror"][0].getpixel((199, 50)) == (0, 0, 0)
    assert changed["screenshot"][1].size == (200, 124)
    assert changed["darker"][1].getpixel((150, 50)) == (127, 127, 127)


def test_words_are_asked_for_every_label_that_has_a_name() -> None:
    assert set(WORDINGS) == set(PHOTOS) - set(SEVERITY_ONLY) - {"car_boot_damage"}
    assert all(len(set(wordings)) == 4 for wordings in WORDINGS.values())


def test_answers_count_ties_against_the_system() -> None:
    relevant = torch.tensor([True, False, True, False])
    assert answers(torch.tensor([0.9, 0.1, 0.8, 0.2]), relevant)[0] == 1.0
    assert answers(torch.zeros(4), relevant)[0] == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_chance_is_about_the_share_of_what_is_relevant() -> None:
    relevant = torch.zeros(300, dtype=torch.bool)
    relevant[:60] = True
    assert by_chance(relevant) == pytest.approx(0.2, abs=0.03)


def test_rows_of_words_give_the_mean_and_the_worst() -> None:
    every, cars, _, _ = rows_of(
        {"car_a": [(0.6, 1.0), (0.2, 0.5)], "fire_b": [(1.0, 1.0)]}, {"car_a": 0.1, "fire_b": 0.2}
    )
    assert (every["queries"], every["map"], every["worst_map"]) == (3, "0.6000", "0.2000")
    assert (cars["queries"], cars["map"], cars["times_chance"]) == (2, "0.4000", "4.0")


def test_a_changed_photo_is_asked_among_all_others() -> None:
    """Photo 1, changed, lies nearest to itself and then to one of another label."""
    labels = ["a", "a", "a", "a", "b"]
    original = torch.eye(5) + 0.5
    scores = torch.tensor([[0.1, 0.9, 0.2, 0.3, 0.8]])
    found = figures(scores, [1], labels, original)
    assert (found["queries"], found["found"]) == (1, "1.000")
    assert float(str(found["map"])) == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3, abs=1e-4)


def test_the_check_of_labels_held_out_asks_for_no_other() -> None:
    labels = [HELD_OUT[0]] * 4 + ["car_door_dent"] * 4 + [HELD_OUT[3]] * 4
    rows = held_out_rows("ours", torch.eye(12), labels)
    assert [(row["queries_of"], row["queries"]) for row in rows] == [
        ("labels held out", 8),
        ("labels held out, cars", 4),
    ]


def test_a_sheet_shows_each_query_with_its_nearest(tmp_path: Path) -> None:
    entries = [entry(label) for label in ("car_a", "car_b") for _ in range(7)]
    pictures = [Image.new("RGB", (40, 30), (20 * row, 0, 0)) for row in range(14)]
    alike_sheet(torch.eye(14), entries, pictures, tmp_path / "sheets" / "alike.jpg")
    with Image.open(tmp_path / "sheets" / "alike.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.width > 2 * 6 * (photos.THUMB - 4)
