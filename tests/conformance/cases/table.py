"""All cases."""

from __future__ import annotations

from tests.conformance.cases import answers, fetches, redirects, requests, responses, urls

ALL = (
    *requests.CASES,
    *urls.CASES,
    *responses.CASES,
    *answers.CASES,
    *fetches.CASES,
    *redirects.CASES,
)
