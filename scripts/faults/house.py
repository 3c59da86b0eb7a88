"""One service with real processes on loopback: what was accepted, what became of it, how questions were answered."""

from __future__ import annotations

import io
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from PIL import Image, ImageDraw

from tests.e2e.processes import Server, free_port, start, with_embedding_service
from tests.fakes.atlas_standin import AtlasStandin
from tests.fakes.mongo import running_server, uri_of
from tests.fakes.voyage import FakeVoyage

ROUND_LIMIT_S = 600.0
LEASE_S = 5.0
FILES_A_ROUND = 3
MOST_PAGES = 6
_ASK_EVERY_S = 0.3
_LOOK_EVERY_S = 0.1


class Mongo:
    """A database server that can be killed and started again on its files, behind the stand-in for its search."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "mongo"
        self._folder.mkdir()
        self._port = free_port()
        self._running = ExitStack()
        self.start()
        self._standin = ExitStack()
        self.standin = self._standin.enter_context(AtlasStandin(("127.0.0.1", self._port)))

    @property
    def address(self) -> str:
        host, _, port = self.standin.address.partition(":")
        return uri_of(host, int(port), options="&heartbeatFrequencyMS=500").replace("/?", "/claims?")

    def start(self) -> None:
        self._running.enter_context(running_server(self._folder, port=self._port))

    def kill(self) -> None:
        self._running.close()

    def close(self) -> None:
        self._standin.close()
        self._running.close()


@dataclass
class House:
    """folder: of one fault. accepted: pages of each file by job. statuses: of the questions asked meanwhile."""

    folder: Path
    engine: str
    chance: random.Random
    voyage: FakeVoyage
    mongo: Mongo | None
    environment: dict[str, str]
    port: int
    workers: int
    server: Server
    accepted: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    statuses: Counter[str] = field(default_factory=Counter[str])
    sent: int = 0

    def restart(self) -> None:
        """Everything of the service is gone (killed or ended); it starts again on what is left."""
        self.server = start(self.folder, port=self.port, workers=self.workers, extra=self.environment)

    def upload(self) -> str | None:
        """One claim with a few PDFs; its job when it was accepted."""
        claim_id = f"F-{self.sent}"
        pages = {f"r{self.sent}-{place}": self.chance.randint(1, MOST_PAGES) for place in range(FILES_A_ROUND)}
        self.sent += 1
        files = [("files", (f"{name}.pdf", document(name, count))) for name, count in pages.items()]
        with self.server.client(timeout_s=120) as client, suppress(httpx2.TransportError):
            if client.put(f"/v1/claims/{claim_id}", json={"line": "auto"}).status_code >= 400:
                return None
            reply = client.post(f"/v1/claims/{claim_id}/assets", files=files)
            if reply.status_code == 202:
                job = reply.json()
                self.accepted[job["job_id"]] = {
                    entry["asset_id"]: pages[entry["filename"].removesuffix(".pdf")] for entry in job["entries"]
                }
                return str(job["job_id"])
        return None

    def wait_done(self, job_id: str) -> float:
        """Seconds from now to the end of the job. Raises AssertionError when it does not end."""
        began = time.monotonic()
        with self.server.client(timeout_s=60) as client:
            while time.monotonic() - began < ROUND_LIMIT_S:
                with suppress(httpx2.TransportError):
                    reply = client.get(f"/v1/jobs/{job_id}")
                    if reply.status_code == 200 and reply.json()["state"] in ("succeeded", "failed", "cancelled"):
                        return time.monotonic() - began
                time.sleep(_LOOK_EVERY_S)
        raise AssertionError(f"a job did not end within {ROUND_LIMIT_S:g} s:\n{self.server.tail()}")

    def wait_working(self, job_id: str) -> None:
        """Until a worker has begun with the job, or has ended it."""
        deadline = time.monotonic() + ROUND_LIMIT_S
        with self.server.client() as client:
            while client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued":
                assert time.monotonic() < deadline, "no worker took the job"
                time.sleep(_LOOK_EVERY_S)

    def count(self) -> tuple[int, int, int]:
        """Pages accepted, lost (no search finds them) and doubled (found more than once), over all jobs."""
        total = lost = doubled = 0
        with self.server.client(timeout_s=60) as client:
            for job_id, expected in self.accepted.items():
                job = client.get(f"/v1/jobs/{job_id}").raise_for_status().json()
                asked = {"text": "page", "filter": {"claim_id": job["claim_id"]}, "limit": 100}
                hits = client.post("/v1/search", json=asked).raise_for_status().json()["hits"]
                found = Counter((hit["page"]["asset_id"], hit["page"]["number"]) for hit in hits)
                wanted = {(asset, number) for asset, pages in expected.items() for number in range(1, pages + 1)}
                total += len(wanted)
                lost += len(wanted - set(found))
                doubled += sum(times - 1 for times in found.values()) + len(set(found) - wanted)
        return total, lost, doubled

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Meanwhile a user searches and a probe asks for readiness; the answers are counted by status."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(_ASK_EVERY_S):
                with suppress(httpx2.TransportError), self.server.client(timeout_s=30) as client:
                    self.statuses[str(client.post("/v1/search", json={"text": "page", "limit": 3}).status_code)] += 1
                    client.get("/readyz")

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def wrong_answers(self) -> int:
        """Answers that are neither right nor an honest refusal."""
        return sum(count for status, count in self.statuses.items() if status not in ("200", "503"))


@contextmanager
def house(engine: str, seed: int, *, workers: int = 2, data: Path | None = None) -> Iterator[House]:
    """A running service with one engine, and everything it needs; all of it is gone afterwards. data: a folder for
    the embedded store elsewhere than beside the rest."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="claimsight-faults-")))
        voyage = stack.enter_context(FakeVoyage(any_key=True))
        mongo = None
        extra = {
            **with_embedding_service(voyage.url),
            "CLAIMSIGHT_VOYAGE_TIMEOUT_S": "20",
            "CLAIMSIGHT_LEASE_TTL_S": str(LEASE_S),
            "CLAIMSIGHT_MAX_ATTEMPTS": "50",
            "CLAIMSIGHT_SPOOL_DIR": str(folder / "spool"),
        }
        if engine == "mongodb":
            mongo = Mongo(folder)
            stack.callback(mongo.close)
            extra["CLAIMSIGHT_STORE"] = mongo.address
        elif data is not None:
            extra["CLAIMSIGHT_STORE"] = f"sqlite:{data}"
        port = free_port()
        server = start(folder, port=port, workers=workers, extra=extra)
        made = House(folder, engine, random.Random(seed), voyage, mongo, extra, port, workers, server)
        try:
            made.server.wait_ready()
            yield made
        finally:
            made.server.kill_all()


def document(name: str, pages: int) -> bytes:
    pictures = []
    for number in range(pages):
        picture = Image.new("RGB", (500, 700), "white")
        ImageDraw.Draw(picture).text((40, 40), f"{name} page {number + 1}", fill="black")
        pictures.append(picture)
    target = io.BytesIO()
    pictures[0].save(target, "PDF", save_all=True, append_images=pictures[1:])
    return target.getvalue()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
