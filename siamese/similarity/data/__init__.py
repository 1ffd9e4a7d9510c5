"""Items of a similarity model: found in folders, tables and arrays, checked, split, packed on the bucket."""

from siamese.similarity.data.fetch import local_data
from siamese.similarity.data.items import Found, Items, ListedPairs
from siamese.similarity.data.pack import pack_items
from siamese.similarity.data.reader import read_items

__all__ = ["Found", "Items", "ListedPairs", "local_data", "pack_items", "read_items"]
