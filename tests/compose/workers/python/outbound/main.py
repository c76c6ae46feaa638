"""The twin of ../../outbound/index.js."""

from workers import Request, Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    """Marks subrequests with the customer's name."""

    async def fetch(self, request: Request) -> Response:
        """Send the request on."""
        headers = {**request.headers, "x-customer": self.env.customer}
        return await fetch(Request(request, headers=headers))
