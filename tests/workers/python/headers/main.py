from http.cookies import SimpleCookie

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        cookies = SimpleCookie(request.headers.get("cookie") or "")
        visits = int(cookies["visits"].value) + 1 if "visits" in cookies else 1
        agent = request.headers["User-Agent"]
        headers = [
            ("Set-Cookie", f"visits={visits}; HttpOnly"),
            ("Set-Cookie", "theme=dark"),
            ("X-Agent", str(agent)),
            ("X-Missing", str(request.headers["x-none"])),
        ]
        return Response(f"visit {visits}", headers=headers)
