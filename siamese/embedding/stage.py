"""The stages ``embedding-index``, vectors of buildings or images, and ``search-index``, cells to find them by."""

from __future__ import annotations

from siamese.manifests import EmbeddingIndex, SearchIndex
from siamese.params import EmbeddingParams, SearchParams
from siamese.store import Stage

EMBEDDING_INDEX = Stage(EmbeddingIndex, version=2, package="siamese.embedding", sections={"embedding": EmbeddingParams})
SEARCH_INDEX = Stage(SearchIndex, version=1, package="siamese.embedding", sections={"search": SearchParams})
