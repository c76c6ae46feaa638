"""`buf curl` as a client of the services: gRPC by Go's HTTP/2, as grpcurl's is."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sluice.mesh.env import Address

_BUF = Path(sys.executable).parent / "buf"


@dataclass(frozen=True)
class BufCurl:
    """Calls services by their reflection, with the certificates of a role where they have any."""

    home: Path
    certificates: Path | None = None

    async def methods(self, address: Address, caller: str) -> list[str]:
        """What a service says that it serves."""
        status, out, err = await self._run(address, caller, "", "--list-methods")
        assert status == 0, err
        return out.split()

    async def call(
        self, address: Address, caller: str, method: str, *requests: dict[str, Any]
    ) -> tuple[int, list[dict[str, Any]], str]:
        """The gRPC code, the responses, and what was printed of an error."""
        data = "\n".join(json.dumps(request) for request in requests)
        status, out, err = await self._run(address, caller, method, "--data", "@-", data=data)
        assert status == 0 or status >= 8, err
        return status >> 3, _documents(out), err

    async def _run(
        self, address: Address, caller: str, path: str, *arguments: str, data: str = ""
    ) -> tuple[int, str, str]:
        scheme, options = "http", ["--http2-prior-knowledge"]
        if self.certificates is not None:
            own = self.certificates / caller
            scheme = "https"
            options = ["--cacert", str(own / "ca.pem")]
            options += ["--cert", str(own / "cert.pem"), "--key", str(own / "key.pem")]
        process = await asyncio.create_subprocess_exec(
            _BUF,
            "curl",
            "--protocol=grpc",
            *options,
            *arguments,
            f"{scheme}://{address}/{path}",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={"HOME": str(self.home)},
        )
        out, err = await process.communicate(data.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


def _documents(text: str) -> list[dict[str, Any]]:
    """JSON documents one after another."""
    decoder, found = json.JSONDecoder(), []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found
