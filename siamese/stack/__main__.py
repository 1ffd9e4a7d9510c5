"""Runs the stack's own services: `python -m siamese.stack prefect 4200`, `… mlflow 5000`, `… watchdog cpu gpu`."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Runs the service named on the command line in the current folder until it is stopped."""
    service, *arguments = sys.argv[1:]
    if service == "watchdog":
        from siamese.stack.watchdog import BEAT, watch

        watch(tuple(arguments), Path(BEAT))
    else:
        from siamese.stack.serving import serve

        serve(service, int(arguments[0]))


if __name__ == "__main__":
    main()
