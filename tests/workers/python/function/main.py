from workers import Response, handler


@handler
async def on_fetch(request, env, ctx):
    return Response(f"{request.method} {env.NAME}")
