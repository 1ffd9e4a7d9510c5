"""What tests work on: made-up scenes, rasters, networks, pair sets and models, tiny and the same every time."""
