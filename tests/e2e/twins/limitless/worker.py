# Uses up what the header x-uses says, or nothing.
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.headers.get("x-uses"):
            case "cpu":
                while True:
                    pass
            case "memory":
                kept = []
                while True:
                    kept.append([0.5] * 1_000_000)
        return Response("well")
