from workers import Response, WorkerEntrypoint, fetch, wait_until


async def log(what):
    await fetch("https://logs.example.com/", method="POST", body=what)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        self.ctx.wait_until(log("after the response"))
        wait_until(log("by the module's function"))
        return Response("answered")
