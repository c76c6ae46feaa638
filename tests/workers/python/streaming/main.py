import asyncio

from workers import Response, WorkerEntrypoint


async def numbers():
    for number in range(3):
        yield f"data: {number}\n\n"
        await asyncio.sleep(0)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.body is not None:
            # Echo what comes, as it comes.
            return Response(request.body)
        return Response(numbers(), headers={"content-type": "text/event-stream"})
