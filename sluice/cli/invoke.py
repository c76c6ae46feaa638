"""`sluice invoke`: one request to one user Worker, past the dispatch Worker."""

from __future__ import annotations

import asyncio
import json
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

import click

from sluice.cli.connection import AddressType, example, tls_options
from sluice.mesh import channel, tracing
from sluice.mesh.caller import Caller
from sluice.mesh.env import Address
from sluice.mesh.pair import INVOKE
from sluice.mesh.roles import Role
from sluice.mesh.tls import Credentials
from sluice.pb import userworker_pb2, worker_pb2
from sluice.wire import headers as header_list
from sluice.wire import messages, params
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import Header
from sluice.wire.messages import Request, Response

HTTP_ERROR = 22
"""Exit code for a response of 400 or above, as of `curl -f`."""


@click.command(
    epilog=example(
        "sluice invoke production/acme http://acme.example.com/",
        "sluice invoke production/acme http://acme.example.com/ -i --outbound outbound \\",
        '    --param \'params_object={"customer_name": "acme"}\'',
    )
)
@click.argument("worker", metavar="NAMESPACE/NAME")
@click.argument("url")
@click.option("-X", "--request", "method", help="Method. Default: GET, or POST with --data.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header.")
@click.option("-d", "--data", help="Body; @FILE is the bytes of a file, @- those of stdin.")
@click.option("-i", "--include", is_flag=True, help="Print the status and the headers too.")
@click.option("-m", "--max-time", default=60.0, show_default=True, help="Deadline, in seconds.")
@click.option("--outbound", default="", metavar="NAME", help="Outbound Worker for subrequests.")
@click.option("--param", "pairs", multiple=True, metavar="KEY=JSON", help="One of its params.")
@click.option("--limit-cpu-ms", type=click.IntRange(1), help="CPU time, in milliseconds.")
@click.option("--limit-subrequests", type=click.IntRange(0), help="Number of subrequests.")
@click.option(
    "--userworker",
    type=AddressType(),
    envvar="SLUICE_USERWORKER",
    default="127.0.0.1:50052",
    show_default=True,
    show_envvar=True,
    help="gRPC address of the userworker service.",
)
@tls_options
def invoke(
    worker: str,
    url: str,
    method: str | None,
    headers: tuple[str, ...],
    data: str | None,
    include: bool,
    max_time: float,
    outbound: str,
    pairs: tuple[str, ...],
    limit_cpu_ms: int | None,
    limit_subrequests: int | None,
    userworker: Address,
    credentials: Credentials | None,
) -> None:
    """Send one request to one user Worker.

    It goes to the userworker service, past the dispatch Worker, so limits and Outbound Worker are
    those given here. With mTLS that is the dispatcher's to do, so it takes the dispatcher's
    certificate. Prints the body. Exits with 22 for a response of 400 or above, and with 1 for
    none.
    """
    if pairs and not outbound:
        raise click.UsageError("--param needs --outbound: params are for the Outbound Worker")
    invocation = userworker_pb2.Invocation(
        worker=_worker(worker),
        outbound=worker_pb2.OutboundBinding(
            service=outbound, params=params.to_struct(dict(map(_param, pairs)))
        ),
        limits=worker_pb2.Limits(cpu_ms=limit_cpu_ms, subrequests=limit_subrequests),
    )
    request = _request(method, url, headers, data)
    status = asyncio.run(_exchange(userworker, credentials, request, invocation, include, max_time))
    click.get_current_context().exit(HTTP_ERROR if status >= HTTPStatus.BAD_REQUEST else 0)


def _worker(text: str) -> worker_pb2.Worker:
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise click.UsageError(f"{text!r} is not NAMESPACE/NAME (like production/acme)")
    return worker_pb2.Worker(dispatch_namespace=namespace, name=name)


def _param(pair: str) -> tuple[str, Any]:
    key, equals, value = pair.partition("=")
    if not (key and equals):
        raise click.UsageError(f"--param {pair!r} is not KEY=JSON")
    try:
        return key, json.loads(value)
    except ValueError as error:
        raise click.UsageError(f"--param {key}: {value!r} is not JSON: {error}") from error


def _request(method: str | None, url: str, lines: tuple[str, ...], data: str | None) -> Request:
    headers = [_header(line) for line in lines]
    if data is not None and header_list.find(headers, "content-type") is None:
        headers.append(("content-type", b"application/x-www-form-urlencoded"))  # as curl has it
    header_list.check(headers)
    messages.check_url(url)
    body = b"" if data is None else _data(data)
    return Request(
        method or ("GET" if data is None else "POST"),
        url,
        headers,
        Whole(body),
        None if data is None else len(body),
    )


def _header(line: str) -> Header:
    name, colon, value = line.partition(":")
    if not (name and colon):
        raise click.UsageError(f"--header {line!r} is not 'NAME: VALUE'")
    return name.strip().lower(), value.strip().encode()


def _data(data: str) -> bytes:
    if data == "@-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        return Path(data[1:]).read_bytes()
    return data.encode()


async def _exchange(
    address: Address,
    credentials: Credentials | None,
    request: Request,
    invocation: userworker_pb2.Invocation,
    include: bool,
    max_time: float,
) -> int:
    """Send the request, print the response, return its status."""
    service = f"the userworker service at {address}"
    link = channel.link(address, Role.USERWORKER, credentials)
    try:
        async with asyncio.timeout(max_time):
            span = tracing.start("sluice invoke", tracing.Kind.CLIENT, None)
            response = await Caller(INVOKE, link, service).call(request, span, invocation)
            await _print(response, include, sys.stdout.buffer)
    except TimeoutError as error:
        late = f"{service}: no complete response in {max_time:g} s"
        raise SluiceError(Reason.RESPONSE_TIMEOUT, late) from error
    finally:
        await link.close()
    return response.status


async def _print(response: Response, include: bool, out: BinaryIO) -> None:
    if include:
        out.write(_head(response))
    try:
        data, complete = response.body.take()
        out.write(data)
        if not complete:
            async for chunk in response.body:
                out.write(chunk)
                out.flush()
    finally:
        await response.body.aclose()
        out.flush()


def _head(response: Response) -> bytes:
    known = response.status in HTTPStatus.__members__.values()
    phrase = HTTPStatus(response.status).phrase if known else ""
    lines = [f"HTTP/1.1 {response.status} {phrase}".rstrip().encode()]
    lines += [name.encode() + b": " + value for name, value in response.headers]
    return b"\r\n".join([*lines, b"", b""])
