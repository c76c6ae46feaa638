"""`python -m services.dispatcher`: read the configuration, serve until signalled, drain."""

from __future__ import annotations

import os

from services.dispatcher import config
from services.dispatcher.service import DispatcherService
from sluice.mesh.process import main

if __name__ == "__main__":
    raise SystemExit(main("dispatcher", lambda: config.read(os.environ), DispatcherService))
