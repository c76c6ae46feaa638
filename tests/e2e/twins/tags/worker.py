# Says to the origin who the customer is.
from workers import Headers, Request, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        headers = Headers(request.headers)
        headers.set("x-customer", getattr(self.env, "customer_name", "none"))
        return await fetch(Request(request, headers=headers))
