# Somebody else's headlines as a page. The page is a file of the Worker's.
import asyncio
from pathlib import Path
from string import Template

from headlines import latest
from workers import Response, WorkerEntrypoint

PAGE = Template(Path(__file__).with_name("page.html").read_text())


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        items = [f"<li>{headline}</li>" for headline in await asyncio.to_thread(latest)]
        print(f"{len(items)} headlines")
        page = PAGE.substitute(title=self.env.TITLE, items="\n".join(items))
        return Response(page, headers={"content-type": "text/html;charset=UTF-8"})
