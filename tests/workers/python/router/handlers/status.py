from http import HTTPStatus

from workers import Response


def teapot(request):
    return Response("short and stout", status=HTTPStatus.IM_A_TEAPOT)
