"""Answers."""

from workers import Request, Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    """The twin of hello.js."""

    async def fetch(self, request: Request) -> Response:
        """Answer."""
        return Response("hello")
