"""Parts of the benchmark of outlines."""
