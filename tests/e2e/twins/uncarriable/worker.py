# Passes what JSON cannot carry, or too much of it.
import json

from workers import Response, WorkerEntrypoint

cycle = {}
cycle["cycle"] = cycle
VALUES = {
    "function": {"f": lambda: None},
    "number": float("nan"),
    "cycle": cycle,
    "long": "x" * 17000,
    "deep": json.loads("[" * 40 + "]" * 40),
}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        value = VALUES[request.headers["x-value"]]
        try:
            worker = self.env.dispatcher.get("acme", {}, {"outbound": {"params_object": value}})
            return await worker.fetch(request)
        except Exception as e:
            return Response(f"{getattr(e, 'name', type(e).__name__)} {e}", status=500)
