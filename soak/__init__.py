"""The soak: mixed load through the whole mesh, with kills, and what must hold throughout."""
