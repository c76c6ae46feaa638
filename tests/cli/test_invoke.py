from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from sluice.pb import userworker_pb2
from sluice.wire import params
from sluice.wire.body import WHOLE, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all
from tests.cli.conftest import Sluice, UserWorkers

URL = "http://acme.example.com/path?q=1"


class Asked:
    """A user Worker that remembers what it was asked, and answers with one response."""

    def __init__(self, user_workers: UserWorkers, run: Sluice) -> None:
        user_workers.serve = self._serve
        self._run = run
        self._address = str(user_workers.address)
        self.response = Response(200, [], Whole(b"hello"))
        self.invocation: userworker_pb2.Invocation
        self.request: Request
        self.body: bytes | None = None

    async def _serve(self, invocation: userworker_pb2.Invocation, request: Request) -> Response:
        self.invocation, self.request = invocation, request
        self.body = await read_all(request.body, 10 * WHOLE)
        return self.response

    async def invoke(self, *arguments: str, text: str | None = None) -> Result:
        """Run `sluice invoke` against it."""
        address = ("--userworker", self._address)
        return await self._run("invoke", "production/acme", URL, *address, *arguments, text=text)


@pytest.fixture
def acme(user_workers: UserWorkers, run: Sluice) -> Asked:
    """The user Worker production/acme."""
    return Asked(user_workers, run)


async def test_request_is_sent_and_body_printed(acme: Asked) -> None:
    """Without options: a GET without a body, its URL as it is; the body of the response only."""
    result = await acme.invoke()
    assert (result.exit_code, result.stdout, result.stderr) == (0, "hello", "")
    assert acme.invocation.worker.dispatch_namespace == "production"
    assert acme.invocation.worker.name == "acme"
    assert (acme.request.method, acme.request.url, acme.request.headers) == ("GET", URL, [])
    assert acme.request.content_length is None
    assert not acme.invocation.outbound.service
    assert not acme.invocation.limits.HasField("cpu_ms")


async def test_body_is_bytes_as_they_are(acme: Asked) -> None:
    """Bytes that are no text arrive unchanged, also in a body that is streamed."""

    class Streamed:
        def take(self) -> tuple[bytes, bool]:
            return b"\xff", False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"\x00\r\n"
            yield b"\xfe"

        async def aclose(self) -> None:
            """It has ended."""

    acme.response = Response(200, [], Streamed())
    assert (await acme.invoke()).stdout_bytes == b"\xff\x00\r\n\xfe"


async def test_include_prints_the_head(acme: Asked) -> None:
    """With `-i` the status and every header come first, repeats too."""
    acme.response = Response(201, [("set-cookie", b"a=1"), ("set-cookie", b"b=2")], Whole(b"!"))
    result = await acme.invoke("-i")
    assert result.stdout_bytes == (
        b"HTTP/1.1 201 Created\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n!"
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [(200, 0), (304, 0), (399, 0), (400, 22), (404, 22), (500, 22), (599, 22)],
)
async def test_exit_code_is_that_of_curl(acme: Asked, status: int, code: int) -> None:
    """A response of 400 or above is a failure, with its body printed all the same."""
    acme.response = Response(status, [], Whole(b"" if status == 304 else b"said"))
    result = await acme.invoke()
    assert result.exit_code == code
    assert result.stdout == ("" if status == 304 else "said")


async def test_method_headers_and_data(acme: Asked, tmp_path: Path) -> None:
    """Options mean what they mean to curl."""
    await acme.invoke("-d", "a=b", "-H", "X-One:  1 ", "-H", "x-one: 2")
    assert (acme.request.method, acme.body) == ("POST", b"a=b")
    assert acme.request.content_length == 3
    assert acme.request.headers == [
        ("x-one", b"1"),
        ("x-one", b"2"),
        ("content-type", b"application/x-www-form-urlencoded"),
    ]
    (tmp_path / "body").write_bytes(b"\x00\xff")
    json = "content-type: application/json"
    await acme.invoke("-X", "PUT", "-d", f"@{tmp_path}/body", "-H", json)
    assert (acme.request.method, acme.body) == ("PUT", b"\x00\xff")
    assert acme.request.headers == [("content-type", b"application/json")]
    await acme.invoke("-d", "@-", text="from stdin")
    assert acme.body == b"from stdin"


async def test_long_data_is_streamed(acme: Asked, tmp_path: Path) -> None:
    """A body over the limit of one message arrives whole."""
    data = bytes(range(256)) * (WHOLE // 256 + 1)
    (tmp_path / "body").write_bytes(data)
    result = await acme.invoke("-d", f"@{tmp_path}/body")
    assert result.exit_code == 0, result.stderr
    assert acme.body == data


async def test_outbound_and_limits(acme: Asked) -> None:
    """What a dispatch Worker would choose is chosen by options."""
    await acme.invoke(
        *("--outbound", "outbound", "--param", 'who={"name": "acme", "n": 1}', "--param", "b=[]"),
        *("--limit-cpu-ms", "50", "--limit-subrequests", "0"),
    )
    assert acme.invocation.outbound.service == "outbound"
    given = params.from_struct(acme.invocation.outbound.params)
    assert given == {"who": {"name": "acme", "n": 1}, "b": []}
    assert acme.invocation.limits.cpu_ms == 50
    assert acme.invocation.limits.HasField("subrequests")
    assert acme.invocation.limits.subrequests == 0


async def test_no_response_is_the_reason(acme: Asked, user_workers: UserWorkers) -> None:
    """Where the Worker made no response, the reason is one line on standard error; exit code 1."""

    async def threw(*_: Any) -> Response:
        raise SluiceError(Reason.WORKER_EXCEPTION, "TypeError: x is not a function")

    user_workers.serve = threw
    result = await acme.invoke()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: WORKER_EXCEPTION: TypeError: x is not a function\n"


async def test_deadline_is_kept(acme: Asked, user_workers: UserWorkers) -> None:
    """A Worker that never answers is given up, and the error says where and after how long."""

    async def waits(*_: Any) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    user_workers.serve = waits
    result = await acme.invoke("-m", "0.2")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: RESPONSE_TIMEOUT: the userworker service at {user_workers.address}: "
        "no complete response in 0.2 s\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["acme", URL], "'acme' is not NAMESPACE/NAME (like production/acme)"),
        (["/acme", URL], "'/acme' is not NAMESPACE/NAME"),
        (["production/", URL], "'production/' is not NAMESPACE/NAME"),
        (["a/b/c", URL], "'a/b/c' is not NAMESPACE/NAME"),
        (["a/b", URL, "--outbound", "o", "--param", "x"], "--param 'x' is not KEY=JSON"),
        (["a/b", URL, "--outbound", "o", "--param", "x=y"], "--param x: 'y' is not JSON"),
        (["a/b", URL, "--param", "x=1"], "--param needs --outbound"),
        (["a/b", URL, "-H", "x"], "--header 'x' is not 'NAME: VALUE'"),
    ],
)
async def test_bad_form_is_a_usage_error(run: Sluice, arguments: list[str], message: str) -> None:
    """What cannot be meant is refused, with what it should look like, before anything is sent."""
    result = await run("invoke", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a/b", "acme.example.com"], "INVALID_REQUEST: head.url: "),
        (["a/b", URL, "-H", "host: x"], "INVALID_REQUEST: headers: 'host' "),
        (["a/b", URL, "-d", "@/nonexistent"], "[Errno 2] No such file"),
    ],
)
async def test_bad_request_is_one_line(run: Sluice, arguments: list[str], message: str) -> None:
    """A request that HTTP cannot carry is refused here."""
    result = await run("invoke", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {message}")


async def test_unreachable_service_is_named(run: Sluice) -> None:
    """Where nothing listens, the error has the address."""
    result = await run("invoke", "a/b", URL, "--userworker", "127.0.0.1:1")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: SERVICE_UNAVAILABLE: ")
    assert "the userworker service at 127.0.0.1:1" in result.stderr
