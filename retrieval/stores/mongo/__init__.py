"""The distributed engine: MongoDB with vector search and GridFS."""

from retrieval.stores.mongo.store import MongoStore

__all__ = ["MongoStore"]
