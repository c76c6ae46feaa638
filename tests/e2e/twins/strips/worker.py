from workers import Request, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        stripped = Request(request)
        stripped.headers.delete("x-sluice-hops")
        return await fetch(stripped)
