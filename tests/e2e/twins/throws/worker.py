from workers import WorkerEntrypoint


class QuotaError(Exception):
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        kind = QuotaError if request.headers.get("x-kind") == "QuotaError" else TypeError
        raise kind("out of it")
