"""The Workers of both chains: the quickstart's, with their origins where the benchmark's is."""

from __future__ import annotations

from pathlib import Path

QUICKSTART = Path(__file__).resolve().parents[1] / "examples" / "quickstart"
JWT_KEY = "a key for the benchmark"

FILES = {
    "dispatch": {"index.js": "dispatch/index.js"},
    "user": {"index.js": "customers/api/index.js"},
    "outbound": {
        "main.js": "outbound/main.js",
        "index.js": "outbound/index.js",
        "jwt.js": "outbound/jwt.js",
    },
}
"""The modules of each Worker, the main one first, and where the quickstart has them."""

_ORIGINS = ("https://api.example.com/", "https://logs.example.com")


def write(folder: Path, origin_url: str) -> None:
    """Write each Worker to a folder of its own in `folder`."""
    for worker, files in FILES.items():
        target = folder / worker
        target.mkdir(parents=True, exist_ok=True)
        for name, source in files.items():
            text = (QUICKSTART / source).read_text()
            for origin in _ORIGINS:
                text = text.replace(origin, f"{origin_url}/")
            (target / name).write_text(text)
