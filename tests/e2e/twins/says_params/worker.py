from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response.json(
            {
                "seen": getattr(self.env, "params_object", None),
                "has": hasattr(self.env, "params_object"),
                "other": getattr(self.env, "other", None),
            }
        )
