from workers import Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        try:
            return await fetch(self.env.URL)
        except Exception as e:
            return Response.json([e.name, str(e), isinstance(e, TypeError)])
