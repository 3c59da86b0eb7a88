"""The embedded engine, and what keeps its data folder safe."""

from retrieval.stores.sqlite.backup import backup, restore
from retrieval.stores.sqlite.folders import Progress
from retrieval.stores.sqlite.manifest import About
from retrieval.stores.sqlite.store import SqliteStore
from retrieval.stores.sqlite.verify import Fault, Verified, verify

__all__ = ["About", "Fault", "Progress", "SqliteStore", "Verified", "backup", "restore", "verify"]
