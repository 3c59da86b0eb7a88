"""The store and the encoder of the search tests."""

from tests.retrieval.search.conftest import *  # noqa: F403
