from workers import WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if "x-sluice-hops" in request.headers:
            raise Exception("seen")
        return await fetch(request.headers["x-url"])
