"""Chooses free ports on the loopback interface, and finds which process occupies one."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterable, Mapping

import psutil

from siamese.errors import SiameseError

LOOPBACK = "127.0.0.1"
GRPC_OFFSET = 10_000
"""SeaweedFS takes, for every port, this much above it for gRPC."""
_LOWEST, _HIGHEST = 20_000, 45_000
_TRIES = 1000


def is_free(port: int) -> bool:
    """Returns whether a server could listen on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(kept: Mapping[str, int], usual: Mapping[str, int | None]) -> dict[str, int]:
    """Chooses a port for every name: the previously chosen one, else the usual one if free, else any free one.

    Args:
        kept: Ports chosen earlier.
        usual: Every name that needs a port, with its usual port or None.
    """
    ports = {name: kept[name] for name in usual if name in kept}
    for name, port in usual.items():
        if name not in ports:
            taken = set(ports.values())
            ports[name] = port if port and port not in taken and _pair_free(port) else _any(taken)
    return ports


def owner(port: int) -> str:
    """Describes the process that listens on a port, as far as this user may see it: ``pid 7 (nginx)``."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr or not connection.pid:
                continue
            if connection.laddr.port == port:
                return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another process"


def require_free(service: str, ports: Iterable[int], record: str) -> None:
    """Checks that none of a service's ports has been taken by another process in the meantime.

    Raises:
        SiameseError: A port is taken; the message names it and the process that has it.
    """
    for port in ports:
        if not is_free(port):
            fix = f"end that process, or take the port out of {record} so that another is chosen"
            raise SiameseError(f"port {port} is taken by {owner(port)}", where=service, fix=fix)


def _pair_free(port: int) -> bool:
    return is_free(port) and is_free(port + GRPC_OFFSET)


def _any(taken: set[int]) -> int:
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if port not in taken and _pair_free(port):
            return port
    raise SiameseError("no free port found", where=LOOPBACK, fix="end what listens on all of them")
