from urllib.parse import urlparse

from handlers import articles
from handlers.status import teapot

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlparse(request.url).path
        routes = {"/articles": articles.index, "/teapot": teapot}
        if path in routes:
            return routes[path](request)
        return Response("Not found", status=404, status_text="Nowhere")
