# Asks the platform's API. There are no credentials in this Worker: the platform adds them.
from workers import WorkerEntrypoint, fetch


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await fetch("https://api.example.com/v1/profile")
