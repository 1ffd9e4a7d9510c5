"""The reader of pixels and of their place on the ground."""
