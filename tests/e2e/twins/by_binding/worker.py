# The host's first label is the binding.
from urllib.parse import urlsplit

from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlsplit(request.url).hostname.split(".")[0]
        return await getattr(self.env, name).get("acme").fetch(request)
