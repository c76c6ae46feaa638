# Chooses as the header x-chosen says.
import json

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        said = json.loads(request.headers["x-chosen"])
        try:
            worker = self.env.dispatcher.get("acme", said.get("args"), said.get("options"))
            return await worker.fetch(request)
        except Exception as e:
            return Response(f"{getattr(e, 'name', type(e).__name__)}: {e}", status=500)
