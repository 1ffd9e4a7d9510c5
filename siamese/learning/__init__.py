"""The engine behind everything that learns: one loop, run alike by every process, for any :class:`Task`."""
