# Asks the listener that it is asked by: with the counter set back, or a body.
from workers import WorkerEntrypoint, fetch

LOOK = {"X-Sluice-Hops": "0", "x-sluice-token": "forged"}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if self.env.WITH == "body":
            return await fetch(self.env.LISTENER, method="POST", body="again")
        return await fetch(self.env.LISTENER, headers=LOOK)
