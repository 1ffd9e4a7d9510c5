"""The engine behind all training: one loop, run identically by every process, for any :class:`Task`."""
