# Asks for one URL after the other, and says what each came to.
import json

from workers import Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        said = []
        for url in json.loads(request.headers["x-ask"]):
            try:
                response = await fetch(url)
                said.append(f"{response.status} {await response.text()}")
            except Exception as e:
                said.append(f"{getattr(e, 'name', type(e).__name__)}: {e}")
        return Response.json(said)
