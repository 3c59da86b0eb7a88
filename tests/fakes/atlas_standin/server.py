"""The wire: a proxy on loopback that answers search commands and passes the rest on."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import bson
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from tests.fakes.atlas_standin.lifecycle import BuildMode, SearchIndex
from tests.fakes.atlas_standin.rules import SearchError, read_definition, read_stage, standin_error

T = TypeVar("T")

_OP_MSG = 2013
_OP_COMPRESSED = 2012
_READS = frozenset(
    {"hello", "isMaster", "ismaster", "ping", "find", "getMore", "killCursors", "count", "distinct", "aggregate"}
    | {"listCollections", "listIndexes", "listDatabases", "endSessions", "buildInfo", "serverStatus"}
)
_WRITES = frozenset({"insert", "update", "delete", "findAndModify", "bulkWrite", "commitTransaction"})
_UPKEEP = frozenset({"hello", "isMaster", "ismaster", "ping", "endSessions"})
_INDEX_COMMANDS = ("createSearchIndexes", "updateSearchIndex", "dropSearchIndex")
_PREFIX = "Executor error during aggregate command on namespace: {} :: caused by :: "


class AtlasStandin:
    """Use as a context manager; `address` is where drivers connect.

    build_s: time an index takes to be built. build_mode: of indexes created from now on ("stuck" ones are never ready,
    "fails" ones end FAILED). guard_path: a search that does not bind it by $eq is an error. searches: every stage that
    was run, with its namespace. commands: the name of every command, but those that look after the connection.
    missed: _ids that approximate searches miss.
    """

    def __init__(self, upstream: tuple[str, int], *, build_s: float = 0.02, guard_path: str = "tenant_id") -> None:
        self.build_s = build_s
        self.build_mode: BuildMode = "normal"
        self.guard_path = guard_path
        self.searches: list[tuple[str, Mapping[str, Any]]] = []
        self.commands: list[str] = []
        self.missed: frozenset[Any] = frozenset()
        self._refused_writes = 0
        self.address = ""
        self._upstream = upstream
        self._indexes: dict[tuple[str, str], SearchIndex] = {}
        self._held: set[str] = set()
        self._writes = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> AtlasStandin:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold(self, database: str) -> None:
        """Indexes of the database stay behind from now on: writes are not found until `flush` or `resume`."""
        self._call(self._hold(database))

    def flush(self, database: str) -> None:
        """Everything written so far is found now."""
        self._call(self._flush(database))

    def resume(self, database: str) -> None:
        self._held.discard(database)

    def reset(self) -> None:
        """Back to normal ways, with no memory of searches and commands."""
        self.build_mode, self.missed = "normal", frozenset()
        self._refused_writes = 0
        self._held.clear()
        self.searches.clear()
        self.commands.clear()

    def step_down(self, writes: int) -> None:
        """The next `writes` commands that change something are answered as by a server that is no longer primary."""
        self._refused_writes = writes

    def hang_up(self) -> None:
        """Every connection is cut at once, whatever is under way on it."""
        self._call(self._hang_up())

    def skipped(self, namespace: str, name: str) -> dict[str, int]:
        """Why documents with a vector are not in the index; MongoDB never tells."""
        return dict(self._indexes[namespace, name].skipped)

    def forget(self, database: str) -> None:
        """All indexes of the database are gone."""
        for key in [key for key in self._indexes if key[0].startswith(f"{database}.")]:
            del self._indexes[key]

    def lose_index(self, namespace: str, name: str) -> None:
        """The index is gone, as if somebody had dropped it elsewhere."""
        del self._indexes[namespace, name]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        host, port = self._upstream
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            host, port, directConnection=True, serverMonitoringMode="poll"
        )
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _hang_up(self) -> None:
        cut = list(self._connections)
        for connection in cut:
            connection.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    async def _stop(self) -> None:
        self._server.close()
        await self._hang_up()
        await self._client.close()

    async def _hold(self, database: str) -> None:
        await self._flush(database)
        self._held.add(database)

    async def _flush(self, database: str) -> None:
        for index in self._indexes.values():
            if index.namespace.split(".")[0] == database:
                await self._snapshot(index)

    # Wire

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.close()
            self._connections.discard(task)
            return
        pending: dict[int, dict[str, Any] | None] = {}  # writes on their way, by request
        back = asyncio.create_task(self._pass_back(up_reader, writer, pending))
        try:
            while not back.done():
                head, body = await _message(reader)
                _, request, _, kind = struct.unpack("<iiii", head)
                if kind == _OP_COMPRESSED:
                    return
                command = _command_name(body) if kind == _OP_MSG else "hello"
                if command not in _UPKEEP:
                    self.commands.append(command)
                answer = None
                if command in _WRITES and self._refused_writes > 0:
                    self._refused_writes -= 1
                    answer = _not_primary(_document(body))
                elif command == "aggregate" or command in _INDEX_COMMANDS:
                    answer = await self._answer(_document(body))
                if answer is None:
                    if command not in _READS:
                        pending[request] = _document(body) if command in ("drop", "dropDatabase") else None
                    up_writer.write(head + body)
                    await up_writer.drain()
                else:
                    payload = bson.encode(answer)
                    writer.write(struct.pack("<iiiiiB", 21 + len(payload), 0, request, _OP_MSG, 0, 0) + payload)
                    await writer.drain()
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # one side hung up, or the stand-in is being stopped
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            up_writer.close()
            writer.close()
            self._connections.discard(task)

    async def _pass_back(
        self, up_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pending: dict[int, dict[str, Any] | None]
    ) -> None:
        try:
            while True:
                head, body = await _message(up_reader)
                answers = struct.unpack("<iiii", head)[2]
                if answers in pending:
                    self._writes += 1  # before the client knows of its write, so that its next search finds it
                    self._forget(pending.pop(answers))
                writer.write(head + body)
                await writer.drain()
        except (OSError, EOFError):
            writer.close()

    def _forget(self, dropped: dict[str, Any] | None) -> None:
        if dropped is None:
            return
        collection = f"{dropped['$db']}.{dropped.get('drop', '')}"
        for key, index in list(self._indexes.items()):
            if index.namespace == collection or ("dropDatabase" in dropped and index.namespace.startswith(collection)):
                del self._indexes[key]

    async def _answer(self, command: dict[str, Any]) -> dict[str, Any] | None:
        """None: the server behind is to answer."""
        try:
            if "aggregate" in command:
                return await self._aggregate(command)
            return await self._index_command(command)
        except SearchError as error:
            prefix = _PREFIX.format(_namespace(command)) if error.by_search and "aggregate" in command else ""
            return {"ok": 0.0, "errmsg": prefix + str(error), "code": error.code, "codeName": error.name}
        except OperationFailure as error:
            return {"ok": 0.0, "errmsg": str(error), "code": error.code or 1, "codeName": "UpstreamError"}

    # Commands

    async def _aggregate(self, command: dict[str, Any]) -> dict[str, Any] | None:
        pipeline = command["pipeline"]
        _check_place(pipeline)
        first = next(iter(pipeline[0]), "") if pipeline else ""
        if first not in ("$vectorSearch", "$listSearchIndexes"):
            return None
        if "autocommit" in command:
            text = f"Operation not permitted in transaction :: caused by :: {first} cannot run within a transaction."
            raise SearchError(text, 263, "OperationNotSupportedInTransaction")
        if command.get("readConcern", {}).get("level", "local") != "local":
            text = f"Aggregation stage {first} cannot run with a readConcern other than 'local'."
            raise SearchError(text, 72, "InvalidOptions")
        namespace = _namespace(command)
        if first == "$listSearchIndexes":
            wanted = pipeline[0][first].get("name")
            here = [index for index in self._indexes.values() if index.namespace == namespace]
            found = [index.listed() for index in here if wanted in (None, index.name)]
        else:
            found = await self._vector_search(namespace, pipeline)
        return {"cursor": {"id": bson.Int64(0), "ns": namespace, "firstBatch": found}, "ok": 1.0}

    async def _vector_search(self, namespace: str, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        stage = pipeline[0]["$vectorSearch"]
        call = read_stage(stage)
        self.searches.append((namespace, stage))
        index = self._indexes.get((namespace, call.index))
        if index is None:
            return []  # so does MongoDB: a wrong name is no error
        index.require_queryable()
        held = namespace.split(".")[0] in self._held
        if index.seen_writes < 0 or (not held and index.seen_writes != self._writes):
            await self._snapshot(index)
        hits, bound = index.search(call, self.missed)
        if self.guard_path not in bound:
            raise standin_error(f"a search that is not bound by {self.guard_path} shows everybody's pages")
        return await self._rest(namespace, hits, pipeline[1:])

    async def _rest(
        self, namespace: str, hits: list[tuple[Any, float]], stages: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Documents as they are now, in the order of the hits, through the other stages; those gone drop out."""
        if not hits:
            hits = [("nothing has this _id", 0.0)]  # stages such as $count still run, over nothing
        ids = [identity for identity, _ in hits]
        place: dict[str, Any] = {"$indexOfArray": [{"$literal": ids}, "$_id"]}
        score: dict[str, Any] = {"$arrayElemAt": [{"$literal": [score for _, score in hits]}, "$_standin_place"]}
        database, collection = namespace.split(".", 1)
        cursor = await self._client[database][collection].aggregate(
            [
                {"$match": {"_id": {"$in": ids}}},
                {"$set": {"_standin_place": place}},
                {"$set": {"_standin_score": score}},
                {"$sort": {"_standin_place": 1}},
                *_with_score(stages),
                {"$unset": ["_standin_place", "_standin_score"]},
            ]
        )
        return await cursor.to_list()

    async def _snapshot(self, index: SearchIndex) -> None:
        writes = self._writes
        database, collection = index.namespace.split(".", 1)
        fields = dict.fromkeys(index.paths, 1)
        index.take(await self._client[database][collection].find({}, fields).to_list(), writes)

    async def _index_command(self, command: dict[str, Any]) -> dict[str, Any]:
        name, namespace = next(iter(command)), _namespace(command)
        database, collection = namespace.split(".", 1)
        if collection not in await self._client[database].list_collection_names(filter={"name": collection}):
            raise SearchError(f"Collection '{namespace}' does not exist.", 26, "NamespaceNotFound")
        if name == "createSearchIndexes":
            return {"ok": 1.0, "indexesCreated": [self._create(namespace, given) for given in command["indexes"]]}
        index = self._indexes.get((namespace, command["name"]))
        if index is None:
            text = f"No index with name {command['name']} exists in namespace {namespace}"
            raise SearchError(text, 27, "IndexNotFound")
        if name == "dropSearchIndex":
            del self._indexes[namespace, index.name]
        else:
            index.redefine(read_definition(command["definition"], "userCommand.definition"), self.build_mode)
        return {"ok": 1.0}

    def _create(self, namespace: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if given.get("type", "search") != "vectorSearch":
            raise SearchError('"userCommand.indexes[0].mappings" is required')
        definition = read_definition(given["definition"], "userCommand.indexes[0]")
        name = given.get("name", "default")
        index = self._indexes.get((namespace, name))
        if index is not None and index.definition.source != definition.source:
            text = f"Index {name} already exists with a different definition. Drop it first if needed."
            raise SearchError(text, 68, "IndexAlreadyExists")
        if index is None:
            index = SearchIndex(namespace, name, definition, mode=self.build_mode, build_s=self.build_s)
            self._indexes[namespace, name] = index
        return {"id": index.identity, "name": name}


def _not_primary(command: Mapping[str, Any]) -> dict[str, Any]:
    """What a server says that stepped down; the label tells the driver what it may do again."""
    inside = "autocommit" in command and "commitTransaction" not in command
    labels = ["TransientTransactionError"] if inside else ["RetryableWriteError"] if "txnNumber" in command else []
    error = {"ok": 0.0, "errmsg": "not primary", "code": 10107, "codeName": "NotWritablePrimary"}
    return {**error, "errorLabels": labels}


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(16)
    return head, await reader.readexactly(struct.unpack_from("<i", head)[0] - 16)


def _document(body: bytes) -> dict[str, Any]:
    """The command of an OP_MSG, whose first section holds it. A document of bson keeps Binary values as they are."""
    return bson.decode(body[5 : 5 + struct.unpack_from("<i", body, 5)[0]])


def _command_name(body: bytes) -> str:
    """The first name of the command, without decoding it."""
    return body[10 : body.index(b"\0", 10)].decode()


def _namespace(command: Mapping[str, Any]) -> str:
    return f"{command['$db']}.{next(iter(command.values()))}"


def _with_score(node: Any) -> Any:
    if isinstance(node, dict):
        if node == {"$meta": "vectorSearchScore"}:
            return "$_standin_score"
        return {key: _with_score(value) for key, value in node.items()}
    return [_with_score(item) for item in node] if isinstance(node, list) else node


def _check_place(pipeline: list[dict[str, Any]], inside: str = "") -> None:
    for place, stage in enumerate(pipeline):
        for name, body in stage.items():
            if name == "$vectorSearch" and inside == "$facet":
                text = "$vectorSearch is not allowed to be used within a $facet stage"
                raise SearchError(text, 40600, "Location40600")
            if name == "$vectorSearch" and inside == "$lookup":
                text = "$vectorSearch is not allowed within a $lookup's sub-pipeline"
                raise SearchError(text, 51047, "Location51047")
            if name == "$vectorSearch" and place:
                text = "$vectorSearch is only valid as the first stage in a pipeline"
                raise SearchError(text, 40602, "Location40602")
            if name == "$unionWith" and "$vectorSearch" in str(body):
                raise standin_error("$vectorSearch inside $unionWith is not known here")
            if name == "$facet":
                for inner in body.values():
                    _check_place(inner, name)
            elif name == "$lookup":
                _check_place(body.get("pipeline", []), name)
