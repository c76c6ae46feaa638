from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        params = self.env.params_object
        return Response.json([self.env.customer_name, params["customer_name"], self.env.KEY])
