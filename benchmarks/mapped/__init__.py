"""What ``benchmarks/mapping.py`` maps, and how each contender does it."""
