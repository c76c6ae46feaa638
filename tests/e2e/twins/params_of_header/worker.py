from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        params = {"customer_name": request.headers["x-value"]}
        worker = self.env.dispatcher.get("acme", {}, {"outbound": {"params_object": params}})
        return await worker.fetch(request)
