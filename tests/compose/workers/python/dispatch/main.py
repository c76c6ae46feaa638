"""The twin of ../../dispatch/index.js."""

from urllib.parse import urlsplit

from workers import Request, Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    """The first part of the path is the customer."""

    async def fetch(self, request: Request) -> Response:
        """Hand the request to the customer's Worker."""
        customer = urlsplit(request.url).path.split("/")[1]
        worker = self.env.customers.get(customer, {}, {"outbound": {"customer": customer}})
        response: Response = await worker.fetch(request)
        return response
