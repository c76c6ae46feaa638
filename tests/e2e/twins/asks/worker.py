# Asks for what the header x-ask says, and answers what comes back.
import json

from workers import WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        ask = json.loads(request.headers["x-ask"])
        return await fetch(ask.pop("url"), **ask)
