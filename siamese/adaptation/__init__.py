"""Adaptation: a person labels a few buildings of a map, and the map is chosen from, decided anew, or assessed."""
