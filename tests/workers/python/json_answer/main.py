import json

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    def fetch(self, request):
        if request.url.endswith("/static"):
            return Response.json({"hello": "world"}, status=201)
        data = json.dumps({"hello": "world"})
        headers = {"content-type": "application/json"}
        return Response(data, headers=headers)
