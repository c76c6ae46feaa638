from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        try:
            # parse the URL, read the subdomain
            worker_name = urlsplit(request.url).netloc.split(".")[0]

            context_from_dispatcher = {
                "customer_name": worker_name,
                "url": request.url,
            }

            user_worker = self.env.dispatcher.get(
                worker_name,
                {},
                {  # outbound arguments. object name must match parameters in the binding
                    "outbound": {
                        "params_object": context_from_dispatcher,
                    }
                },
            )

            return await user_worker.fetch(request)
        except Exception as e:
            if str(e).startswith("Worker not found"):
                # we tried to get a worker that doesn't exist in our dispatch namespace
                return Response("", status=404)

            return Response(str(e), status=500)
