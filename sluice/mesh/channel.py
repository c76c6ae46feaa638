"""Dialling a peer: one channel, kept for the life of the process.

A call to a peer that is down fails at once with `UNAVAILABLE` (gRPC's fail-fast). The waits between
attempts to connect are short, so that a peer that was killed is used again soon after it is back.
"""

from __future__ import annotations

import grpc

from sluice.mesh.env import Address
from sluice.mesh.roles import Role
from sluice.mesh.tls import Credentials
from sluice.rpc.link import Link

MAX_MESSAGE = 4 * 1024 * 1024
"""Most bytes of one message, unless a channel and its server are told otherwise. gRPC's default."""

_MAX_METADATA = 64 * 1024
"""Most bytes of a call's metadata. gRPC's default of 8 KiB is less than an error may need: the
message once percent-encoded (three times its bytes at worst), and once more with the metadata."""


def dial(
    address: Address,
    role: Role | None = None,
    credentials: Credentials | None = None,
    *,
    max_message: int = MAX_MESSAGE,
) -> grpc.aio.Channel:
    """A channel to `address`. It connects at the first call; close it at the end.

    With `credentials` it is mTLS, and the peer's certificate has to be one of `role`, which must be
    given then; what host it names does not matter. Without, it is plaintext.
    """
    options: list[tuple[str, int | str]] = [*_options(max_message)]
    if credentials is None:
        return grpc.aio.insecure_channel(str(address), options=options)
    options.append(("grpc.ssl_target_name_override", _name(role)))
    return grpc.aio.secure_channel(str(address), credentials.for_channel(), options=options)


def link(
    address: Address, role: Role | None = None, credentials: Credentials | None = None
) -> Link:
    """A link to `address`, as `dial` makes a channel: for the calls that there are many of."""
    if credentials is None:
        return Link(address.host, address.port, MAX_MESSAGE)
    name = _name(role)
    return Link(address.host, address.port, MAX_MESSAGE, credentials.for_link(), name)


def _name(role: Role | None) -> str:
    """What the peer's certificate has to say."""
    if role is None:
        raise ValueError("a peer with a certificate is dialled by its role")
    return role.dns_name


def _options(max_message: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message),
        ("grpc.max_send_message_length", max_message),
        ("grpc.max_metadata_size", _MAX_METADATA),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA),
        ("grpc.http2.bdp_probe", 0),  # pings that size windows: peers are near, and calls short
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.min_reconnect_backoff_ms", 2_000),  # in fact how long one attempt may take
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),  # a restarted container moves
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),  # no limit: a WebSocket may be quiet for hours
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),  # a request that may have had an effect is not sent twice
        ("grpc.use_local_subchannel_pool", 1),
    ]
