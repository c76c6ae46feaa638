from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlsplit(request.url).hostname.split(".")[0]
        params = {"customer_name": name, "url": request.url}
        try:
            worker = self.env.dispatcher.get(name, {}, {"outbound": {"params_object": params}})
            return await worker.fetch(request)
        except Exception as e:
            if str(e).startswith("Worker not found"):
                return Response("", status=404)
            return Response(f"{getattr(e, 'name', type(e).__name__)}: {e}", status=500)
