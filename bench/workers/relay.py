"""Makes one subrequest."""

from workers import Request, Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    """The twin of relay.js."""

    async def fetch(self, request: Request) -> Response:
        """Answer what the origin says."""
        return await fetch("http://origin.example/")
