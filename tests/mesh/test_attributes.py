"""Names are spelled as OpenTelemetry spells them."""

from __future__ import annotations

import pytest
from opentelemetry.semconv._incubating.attributes import faas_attributes, rpc_attributes
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)

from sluice.mesh import attributes


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (attributes.HTTP_METHOD, http_attributes.HTTP_REQUEST_METHOD),
        (attributes.HTTP_STATUS, http_attributes.HTTP_RESPONSE_STATUS_CODE),
        (attributes.URL_FULL, url_attributes.URL_FULL),
        (attributes.SERVER_ADDRESS, server_attributes.SERVER_ADDRESS),
        (attributes.SERVER_PORT, server_attributes.SERVER_PORT),
        (attributes.ERROR_TYPE, error_attributes.ERROR_TYPE),
        (attributes.RPC_SYSTEM, rpc_attributes.RPC_SYSTEM_NAME),
        (attributes.RPC_METHOD, rpc_attributes.RPC_METHOD),
        (attributes.COLD_START, faas_attributes.FAAS_COLDSTART),
    ],
)
def test_names_of_the_semantic_conventions(ours: str, theirs: str) -> None:
    """A name that moves in the semantic conventions is noticed here, and changed on purpose."""
    assert ours == theirs


def test_names_are_unique() -> None:
    """No two constants write the same attribute or field."""
    names = [value for key, value in vars(attributes).items() if key.isupper()]
    assert len(names) == len(set(names))
