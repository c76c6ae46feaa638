from workers import Response

from .titles import TITLES


def index(request):
    return Response.json(TITLES)
