from workers import Response, WorkerEntrypoint, env

AT_IMPORT = env.API_HOST


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        assert env.API_HOST == AT_IMPORT == self.env.API_HOST
        missing = getattr(self.env, "MISSING", "nothing")
        return Response(f"{self.env.API_HOST} {self.env.limits.daily} {missing}")
