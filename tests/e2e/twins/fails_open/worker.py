from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        self.ctx.pass_through_on_exception()
        raise Exception("on it goes")
