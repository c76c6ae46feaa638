from urllib.parse import urlparse

from workers import Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlparse(request.url)
        if url.path.startswith("/old"):
            return Response.redirect("https://new.example.com" + url.path, 301)
        if url.path == "/manual":
            response = await fetch("https://origin.example/moved", redirect="manual")
            return Response(f"{response.status} {response.headers['location']}")
        response = await fetch("https://origin.example/moved")
        return Response(f"{response.status} {response.url} {response.redirected}")
