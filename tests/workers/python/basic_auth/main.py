import base64
import binascii

from workers import Response, WorkerEntrypoint

CHALLENGE = {"WWW-Authenticate": 'Basic realm="my scope", charset="UTF-8"'}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        authorization = request.headers.get("Authorization")
        if not authorization:
            return Response("You need to login.", status=401, headers=CHALLENGE)
        scheme, _, encoded = authorization.partition(" ")
        if scheme != "Basic":
            return Response("Malformed authorization header.", status=400)
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return Response("Malformed authorization header.", status=400)
        if (user, password) != ("admin", self.env.PASSWORD):
            return Response("You need to login.", status=401, headers=CHALLENGE)
        return Response("You have private access", headers={"Cache-Control": "no-store"})
