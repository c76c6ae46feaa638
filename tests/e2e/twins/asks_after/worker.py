# Asks when it has answered.
from workers import Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        self.ctx.wait_until(fetch(request.headers["x-url"]))
        return Response("answered")
