"""The server inside a Python isolate. It runs confined, and imports nothing of Sluice."""
