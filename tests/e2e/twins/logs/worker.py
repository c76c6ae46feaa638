# Logs to another origin when it has answered.
from workers import Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what = f"{self.env.customer_name} {request.url}"
        self.ctx.wait_until(fetch(request.headers["x-log"], method="POST", body=what))
        return Response("answered")
