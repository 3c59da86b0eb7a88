"""Tables of the documents, made from the CSV files of docs/benchmarks: a figure in a document is always a measured one.

    python scripts/bench_tables.py [--check]

A document marks a place with `<!-- table: NAME -->` and `<!-- end of table -->`; what stands between is replaced.
--check changes nothing and fails where a document does not say what the CSV says.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.bench import record
from scripts.bench.pages import ALL

CsvRow = Mapping[str, str]
_PLACE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_NOT_YET = "Not measured yet.\n"


def quality(rows: Sequence[CsvRow]) -> list[list[str]]:
    head = ["system", "queries", "nDCG@5", "Recall@1", "Recall@5", "MRR"]
    figures = ("ndcg5", "recall1", "recall5", "mrr")
    overall = [row for row in rows if row["kind"] == ALL]
    return [head, *([row["system"], row["queries"], *(_three(row[name]) for name in figures)] for row in overall)]


def quality_by_kind(rows: Sequence[CsvRow]) -> list[list[str]]:
    """nDCG@5, a column a kind; last how many queries there are."""
    kinds = sorted({row["kind"] for row in rows} - {ALL})
    cells = {(row["system"], row["kind"]): row for row in rows}
    systems = list(dict.fromkeys(row["system"] for row in rows))
    lines = [[system, *(_three(cells[system, kind]["ndcg5"]) for kind in kinds)] for system in systems]
    return [["nDCG@5", *kinds], *lines, ["queries", *(cells[systems[0], kind]["queries"] for kind in kinds)]]


def columns(names: Mapping[str, str]) -> Callable[[Sequence[CsvRow]], list[list[str]]]:
    """Some columns as they are; names: column to heading."""
    return lambda rows: [list(names.values()), *([_plain(row[name]) for name in names] for row in rows)]


def ocr(rows: Sequence[CsvRow]) -> list[list[str]]:
    names = {"system": "system", "ndcg5": "nDCG@5", "recall1": "Recall@1", "pages": "pages"}
    times = {f"cpu_s_{part}": f"CPU s a page, {part}" for part in ("mean", "median", "p90", "most")}
    return columns({**names, **times})([row for row in rows if row["kind"] == ALL])


def credits(rows: Sequence[CsvRow]) -> list[list[str]]:
    """Licence and repository of the pages drawn in the picture of failures."""
    drawn = sorted({source for row in rows for source in row["drawn"].split("; ") if source})
    return [["licence", "repository"], *(source.split(" ", 1) for source in drawn)]


def photos(rows: Sequence[CsvRow]) -> list[list[str]]:
    """A line a system: all queries, the mean of labels, cars among cars."""
    parts, names = ("all", "mean of labels", "cars among cars"), ("map", "ndcg10", "p5")
    cells = {(row["system"], row["queries_of"]): row for row in rows}
    head = ["system", "mAP", "nDCG@10", "P@5", "mAP, mean of labels", "cars: mAP", "nDCG@10", "P@5"]
    lines: list[list[str]] = []
    for system in dict.fromkeys(row["system"] for row in rows):
        every, macro, cars = (cells[system, part] for part in parts)
        figures = [every[name] for name in names] + [macro["map"]] + [cars[name] for name in names]
        lines.append([system, *(_three(value) for value in figures)])
    return [head, *lines]


def photos_by_label(*systems: str) -> Callable[[Sequence[CsvRow]], list[list[str]]]:
    """mAP of each label, a column a system."""

    def lines(rows: Sequence[CsvRow]) -> list[list[str]]:
        cells = {(row["system"], row["queries_of"]): row for row in rows}
        labels = [row["queries_of"] for row in rows if row["system"] == systems[0]][3:]
        body = [
            [label, cells[systems[0], label]["queries"], *(_three(cells[system, label]["map"]) for system in systems)]
            for label in labels
        ]
        return [["label", "queries", *systems], *body]

    return lines


def kernels(*operators: str, limited: bool = False) -> Callable[[Sequence[CsvRow]], list[list[str]]]:
    """Times of the operators whose names begin so; `limited`: only ours that have a limit."""
    head = ["operator", "shape", "type", "by", "ms", "floor ms", "share of floor", "must ms", "stretch ms"]

    def line(row: CsvRow) -> list[str]:
        share = f"{100 * float(row['floor_ms']) / float(row['ms']):.0f} %" if row["ms"] else ""
        return [row["operator"], row["shape"], row["dtype"], row["impl"], row["ms"] or "none", row["floor_ms"], share,
                row["must_ms"], row["stretch_ms"]]  # fmt: skip

    def lines(rows: Sequence[CsvRow]) -> list[list[str]]:
        chosen = [row for row in rows if row["operator"].startswith(operators)]
        if limited:
            chosen = [row for row in chosen if row["impl"] == "ours" and row["must_ms"]]
        return [head, *map(line, chosen)]

    return lines


_ENCODER = {"system": "system", "figure": "figure", "count": "count", "mean": "mean", "median": "median",
            "p90": "90 %", "most": "most"}  # fmt: skip
_SEARCH = {"pages": "pages", "filter": "filter", "queries": "queries", "p50_ms": "p50 ms", "p95_ms": "p95 ms",
           "encoder_share": "encoder", "store_share": "store", "rerank_share": "rerank", "http_share": "HTTP",
           "first_ms": "first search ms", "sketched_s": "s until all sketches are read"}  # fmt: skip
_START = {"pages": "pages", "filter": "filter", "asked": "asked", "starts": "starts", "first_ms": "first search ms",
          "most_ms": "most", "read_s": "s until then"}  # fmt: skip
_CANDIDATES = {"pages": "pages", "candidates": "kept", "queries": "queries", "way": "way",
               "recall": "of the exact first ten", "cpu_ms_a_query": "CPU ms a query"}  # fmt: skip
_INGEST = {"pages": "pages", "pages_per_s": "pages a second", "peak_all_mib": "peak MiB, all processes",
           "peak_worker_mib": "worker", "peak_render_mib": "rendering", "peak_server_mib": "server"}  # fmt: skip
_ANSWERS = {"pages": "ingest of pages", "idle_page_p95_ms": "page, idle", "busy_page_p95_ms": "page, ingesting",
            "idle_image_p95_ms": "picture, idle", "busy_image_p95_ms": "picture, ingesting"}  # fmt: skip
_FAILURES = {"place": "", "kind": "kind", "query": "query", "expected": "should be", "found": "came first",
             "rank": "rank of the right one", "what_went_wrong": "what went wrong"}  # fmt: skip

_HELD_OUT = {"system": "system", "queries_of": "queries", "queries": "count", "map": "mAP", "ndcg10": "nDCG@10",
             "p5": "P@5"}  # fmt: skip
_PHOTO_COST = {"picture": "picture", "count": "count", "mean": "CPU s, mean", "median": "median", "p90": "90 %",
               "most": "most", "of_a_page": "median, of a page's",
               "mean_of_a_page": "mean, of a page's", "scenes": "taken for a scene"}  # fmt: skip
_WORDS = {"label": "label", "queries": "wordings", "map": "mAP", "chance": "chance", "times_chance": "times chance",
          "first_page": "right among the first 10", "worst_map": "mAP of the worst wording"}  # fmt: skip
_CHANGES = {"change": "change", "strength": "strength", "queries": "photos", "found": "original comes first",
            "map": "mAP of the others"}  # fmt: skip
_CLAIMS = {"claims": "claims", "count": "claims in all", "asked": "asked with", "way": "way",
           "p5": "right among the first 5"}  # fmt: skip
_REUSE = {"photos": "photos", "asked": "asked with", "count": "count", "called": "called a copy"}
_FAULTS = {"fault": "fault", "engine": "engine", "rounds": "rounds", "accepted": "uploads accepted", "pages": "pages",
           "lost": "lost", "doubled": "doubled", "wrong_answers": "wrong", "recovery_median_s": "recovery s, median",
           "recovery_max_s": "most"}  # fmt: skip
_FUZZ = {"target": "target", "seconds": "seconds", "inputs": "inputs tried", "edges": "edges of code reached",
         "inputs_kept": "inputs kept", "peak_mib": "peak MiB", "broken": "promises broken"}  # fmt: skip
_AUDIT = {"record": "record", "meanwhile": "meanwhile", "searches": "searches", "p50_ms": "p50 ms",
          "p95_ms": "p95 ms"}  # fmt: skip
_LOAD = {"engine": "engine", "searches": "searches", "searches_busy": "503", "searches_other": "other",
         "idle_p95_ms": "p95 ms, one person", "p50_ms": "p50 ms", "p95_ms": "p95 ms", "p99_ms": "p99 ms",
         "uploads": "uploads", "uploads_busy": "503", "uploads_other": "other",
         "upload_p95_ms": "p95 ms"}  # fmt: skip
_LOAD_MEMORY = {"engine": "engine", "minutes": "minutes", "searching": "searching", "uploading": "uploading",
                "memory_before_mib": "MiB after warm-up", "memory_after_mib": "MiB at the end",
                "memory_growth_percent": "growth %"}  # fmt: skip

_EXACT = {"kind": "string", "queries": "queries", "recall1_off": "Recall@1, off", "recall1_on": "on",
          "ndcg5_off": "nDCG@5, off", "ndcg5_on": "on"}  # fmt: skip
_EXACT_LOOKUP = {"string": "string", "filter": "filter passes", "lookups": "look-ups", "p50_ms": "p50 ms",
                 "p95_ms": "p95 ms"}  # fmt: skip

_TURNS = {"lies": "the page lies", "pages": "pages", "as_upright": "read as upright", "cpu_s_a_page": "CPU s a page"}

TABLES: Mapping[str, tuple[str, Callable[[Sequence[CsvRow]], list[list[str]]]]] = {
    "quality": ("quality.csv", quality),
    "quality-by-kind": ("quality.csv", quality_by_kind),
    "meanings": ("meanings.csv", quality_by_kind),
    "turns": ("turns.csv", columns(_TURNS)),
    "ocr": ("ocr.csv", ocr),
    "encoder": ("encoder.csv", columns(_ENCODER)),
    "search": ("search.csv", columns(_SEARCH)),
    "start": ("start.csv", columns(_START)),
    "candidates": ("candidates.csv", columns(_CANDIDATES)),
    "ingest": ("ingest.csv", columns(_INGEST)),
    "answers-meanwhile": ("ingest.csv", columns(_ANSWERS)),
    "audit": ("audit.csv", columns(_AUDIT)),
    "fuzz": ("fuzz.csv", columns(_FUZZ)),
    "faults": ("faults.csv", columns(_FAULTS)),
    "load": ("load.csv", columns(_LOAD)),
    "load-memory": ("load.csv", columns(_LOAD_MEMORY)),
    "failures": ("failures.csv", columns(_FAILURES)),
    "kernels-limits": ("kernels.csv", kernels("", limited=True)),
    "kernels-scan": ("kernels.csv", kernels("ssd")),
    "kernels-delta": ("kernels.csv", kernels("gated delta")),
    "kernels-chunking": ("kernels.csv", kernels("routing")),
    "kernels-maxsim": ("kernels.csv", kernels("maxsim")),
    "kernels-norm": ("kernels.csv", kernels("rmsnorm", "gated rmsnorm")),
    "kernels-filter": ("kernels.csv", kernels("short filter")),
    "failure-credits": ("failures.csv", credits),
    "exact": ("exact.csv", columns(_EXACT)),
    "exact-lookup": ("exact_lookup.csv", columns(_EXACT_LOOKUP)),
    "photos": ("photos.csv", photos),
    "photos-by-label": (
        "photos.csv",
        photos_by_label("Claimsight", "Lite1 + Lite2, mirrored too, train mean removed"),
    ),
    "photos-held-out": ("photos_held_out.csv", columns(_HELD_OUT)),
    "photos-cost": ("photos_cost.csv", columns(_PHOTO_COST)),
    "photos-fused": ("photos_fused.csv", photos),
    "claims": ("claims.csv", columns(_CLAIMS)),
    "reuse": ("reuse.csv", columns(_REUSE)),
    "photo-words": ("photo_words.csv", columns(_WORDS)),
    "photo-changes": ("photo_changes.csv", columns(_CHANGES)),
}


def documents() -> list[Path]:
    """Every document that may hold a table."""
    return [
        record.REPOSITORY / "README.md",
        record.REPOSITORY / "kernels" / "README.md",
        *sorted((record.REPOSITORY / "docs").rglob("*.md")),
    ]


def filled(text: str) -> str:
    """The document with its tables as the CSV files give them now."""
    return _PLACE.sub(lambda place: place[1] + table(place["name"]) + place[3], text)


def table(name: str) -> str:
    """One table in Markdown, with a line that says where and when it was measured."""
    file, lines_of = TABLES[name]
    path = record.BENCHMARKS / file
    if not path.is_file():
        return _NOT_YET
    rows = record.read_csv(path)
    head, *lines = lines_of(rows)
    marks = ["---" if column == 0 else "---:" if _numbers(lines, column) else "---" for column in range(len(head))]
    body = "\n".join("| " + " | ".join(line) + " |" for line in (head, marks, *lines))
    return f"{body}\n\n{_origin(rows, file)}\n"


def _origin(rows: Sequence[CsvRow], file: str) -> str:
    runs = list(dict.fromkeys(tuple(row[name] for name in record.STAMP) for row in rows))
    told = "; ".join(f"{device}, {versions}, commit {commit}, {date}" for device, versions, commit, date in runs)
    return f"{told}. `docs/benchmarks/{file}`"


def _numbers(lines: Sequence[Sequence[str]], column: int) -> bool:
    return all(re.fullmatch(r"-?[\d.,]+|", line[column]) for line in lines)


def _three(value: str) -> str:
    return f"{float(value):.3f}"


def _plain(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [path for path in documents() if filled(text := path.read_text(encoding="utf-8")) != text]
    if check and stale:
        raise SystemExit(f"{', '.join(path.name for path in stale)}: run python scripts/bench_tables.py")
    for path in stale:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"{path.relative_to(record.REPOSITORY)} changed")


if __name__ == "__main__":
    main()
