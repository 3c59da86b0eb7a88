"""A strict stand-in for MongoDB's vector search, in front of a MongoDB-compatible server that has none.

`AtlasStandin(upstream_uri)` listens on loopback. Drivers talk to it as to MongoDB: it answers search index commands and
`$vectorSearch` itself and passes everything else on, byte for byte. Texts and codes of its errors are those that
mongod and mongot give, as far as we know them; what begins with STAND-IN is ours, where MongoDB stays silent and a
test should not, and where the stand-in can do no more.
"""

from tests.fakes.atlas_standin.server import AtlasStandin

__all__ = ["AtlasStandin"]
