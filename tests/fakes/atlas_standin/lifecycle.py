"""Search indexes as a server keeps them: they are built, serve, lag behind, fail, and go."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from bson import ObjectId
from numpy.typing import NDArray

from tests.fakes.atlas_standin.rules import Definition, SearchCall, SearchError, admit, compile_filter

BuildMode = Literal["normal", "stuck", "fails"]


class SearchIndex:
    """One vector index. It serves what its last snapshot of the collection holds."""

    def __init__(self, namespace: str, name: str, definition: Definition, *, mode: BuildMode, build_s: float) -> None:
        self.namespace = namespace
        self.name = name
        self.identity = str(ObjectId())
        self.definition = definition
        self.staged: Definition | None = None
        self.version = 0
        self.skipped: Counter[str] = Counter()
        self.seen_writes = -1
        self._mode = mode
        self._build_s = build_s
        self._begun = time.monotonic()
        self._served = False
        self._documents: list[Mapping[str, Any]] = []
        self._vectors: dict[str, tuple[list[int], NDArray[np.float32]]] = {}

    @property
    def paths(self) -> list[str]:
        return [*self.definition.vectors, *self.definition.filters]

    def status(self) -> str:
        if self._mode == "fails":
            return "FAILED"
        built = time.monotonic() - self._begun >= self._build_s and self._mode == "normal"
        if built and self.staged is not None:
            self.definition, self.staged = self.staged, None
            self.seen_writes = -1
        if built:
            self._served = True
            return "READY"
        early = time.monotonic() - self._begun < self._build_s / 2
        return "PENDING" if early and not self._served else "BUILDING"

    @property
    def queryable(self) -> bool:
        return self.status() == "READY" or (self._served and self._mode != "fails")

    def redefine(self, definition: Definition, mode: BuildMode) -> None:
        """The old definition serves until the new one is built."""
        self.staged, self._mode, self._begun = definition, mode, time.monotonic()
        self.version += 1

    def listed(self) -> dict[str, Any]:
        status = self.status()
        return {
            "id": self.identity,
            "name": self.name,
            "status": status,
            "queryable": self.queryable,
            "latestDefinitionVersion": {"version": self.version, "createdAt": datetime.now(UTC)},
            "latestDefinition": (self.staged or self.definition).source,
            "statusDetail": [],
        }

    def require_queryable(self) -> None:
        status = self.status()
        if self.queryable:
            return
        if status == "PENDING":
            raise SearchError(f"Index {self.name} not initialized")
        state = "FAILED" if status == "FAILED" else "INITIAL_SYNC"
        raise SearchError(
            f"cannot query vector index {self.identity} (vector index {self.name} collection {self.namespace}) "
            f"while in state {state}"
        )

    def take(self, documents: Sequence[Mapping[str, Any]], writes: int) -> None:
        """A new snapshot, as of the given count of writes."""
        self.seen_writes = writes
        self.skipped.clear()
        self._documents = list(documents)
        self._vectors = {}
        for path, dims in self.definition.vectors.items():
            places: list[int] = []
            rows: list[NDArray[np.float32]] = []
            for place, document in enumerate(self._documents):
                if path in document and (row := admit(document[path], dims, self.skipped)) is not None:
                    places.append(place)
                    rows.append(row)
            self._vectors[path] = (places, np.stack(rows) if rows else np.zeros((0, dims), np.float32))

    def search(self, call: SearchCall, missed: frozenset[Any]) -> tuple[list[tuple[Any, float]], Mapping[str, Any]]:
        """(_id, score) best first, and what the filter binds by $eq. missed: ids that an approximate search misses."""
        if call.path not in self.definition.vectors:
            raise SearchError(f"{call.path} is not indexed as vector")
        dims = self.definition.vectors[call.path]
        if dims != len(call.vector):
            raise SearchError(f"vector field is indexed with {dims} dimensions but queried with {len(call.vector)}")
        chosen = compile_filter(call.filter, self.definition.filters)
        places, matrix = self._vectors[call.path]
        rows = [row for row, place in enumerate(places) if chosen.passes(self._documents[place])]
        if not call.exact:
            rows = [row for row in rows if self._documents[places[row]]["_id"] not in missed]
        if not rows:
            return [], chosen.bound
        kept = matrix[rows].astype(np.float64)
        query = call.vector.astype(np.float64)
        cosines = kept @ query / (np.linalg.norm(kept, axis=1) * np.linalg.norm(query))
        scores = np.maximum((1 + cosines) / 2, 0).astype(np.float32)
        best = np.argsort(-scores, kind="stable")[: call.limit]
        return [(self._documents[places[rows[row]]]["_id"], float(scores[row])) for row in best], chosen.bound
