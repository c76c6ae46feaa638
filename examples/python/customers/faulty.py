# A customer's bug: it raises before it has answered.
from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        raise ValueError("there is no price for today")
