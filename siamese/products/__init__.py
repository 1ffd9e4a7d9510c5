"""Products of a map: the files that people open beside its raster and its table, made from those two."""
