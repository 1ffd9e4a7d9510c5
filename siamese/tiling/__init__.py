"""Tiles of a map for web pages: images as raster tiles, buildings as vector tiles, each in one PMTiles archive."""
