# Answers what comes back, and how many requests this process has had.
from workers import Response, WorkerEntrypoint, fetch

seen = []


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        seen.append(request)
        response = await fetch(request.headers["x-url"])
        return Response(f"{await response.text()} {len(seen)}")
