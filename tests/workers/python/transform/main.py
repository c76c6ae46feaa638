from workers import Request, Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/pass"):
            return await fetch(request)
        headers = dict(request.headers.items())
        headers["x-transformed"] = "yes"
        upstream = await fetch(
            Request("https://origin.example/api", method="POST", headers=headers, body="ping")
        )
        text = await upstream.text()
        return Response(
            text.upper(), status=upstream.status, headers={"x-origin": upstream.headers["x-origin"]}
        )
