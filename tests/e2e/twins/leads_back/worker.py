# Leads every subrequest to the listener, and counts in the answers.
from urllib.parse import urlsplit

from workers import Request, Response, WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)._replace(netloc=self.env.LISTENER).geturl()
        response = await fetch(
            Request(
                url,
                method=request.method,
                headers=request.headers,
                body=request.body,
                redirect=request.redirect,
            )
        )
        return Response("left," + await response.text(), response.status)
