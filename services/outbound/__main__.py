"""`python -m services.outbound`: read the configuration, serve until signalled, drain."""

from __future__ import annotations

import os

from services.outbound import config
from services.outbound.service import OutboundService
from sluice.mesh.process import main

if __name__ == "__main__":
    raise SystemExit(main("outbound", lambda: config.read(os.environ), OutboundService))
