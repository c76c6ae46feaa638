from importlib import resources
from pathlib import Path

from workers import Response, WorkerEntrypoint

PAGE = (Path(__file__).parent / "pages" / "index.html").read_text()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/bytes"):
            return Response(resources.files("pages").joinpath("pixel.bin").read_bytes())
        return Response(PAGE, headers={"content-type": "text/html; charset=utf-8"})
