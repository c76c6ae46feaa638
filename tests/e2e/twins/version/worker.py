# Answers with its version, after a subrequest.
from workers import Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await (await fetch(request.headers["x-url"])).text()
        return Response(self.env.VERSION)
