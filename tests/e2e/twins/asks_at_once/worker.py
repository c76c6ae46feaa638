import asyncio
import json

from workers import Response, WorkerEntrypoint, fetch


async def text_of(url):
    return await (await fetch(url)).text()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        urls = json.loads(request.headers["x-ask"])
        return Response.json(await asyncio.gather(*map(text_of, urls)))
