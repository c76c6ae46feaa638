import asyncio
import random

from workers import WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        await asyncio.sleep(random.random() * 0.005)
        return await fetch(request.headers["x-url"])
