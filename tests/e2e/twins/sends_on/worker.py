# Sends its request on, its body as a stream.
from workers import WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await fetch(
            request.headers["x-url"],
            method=request.method,
            headers=request.headers,
            body=request.body,
            redirect=request.redirect,
        )
