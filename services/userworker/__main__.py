"""`python -m services.userworker`: read the configuration, serve until signalled, drain."""

from __future__ import annotations

import os

from services.userworker import config
from services.userworker.service import UserWorkerService
from sluice.mesh.process import main

if __name__ == "__main__":
    raise SystemExit(main("userworker", lambda: config.read(os.environ), UserWorkerService))
