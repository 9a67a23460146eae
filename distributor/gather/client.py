"""The HTTP client of the manufacturers' API. A manufacturer may be dead, slow, endless or lying: it harms only itself.

H1  One request, from connecting to the last byte, takes at most ``deadline_seconds``, however the answer drips.
H2  At most ``bytes_max`` of an answer are held. Compression is not asked for and not accepted.
H3  Only the addresses of configured manufacturers are called; a redirect is a failure, never followed.
H4  Every request has a connection of its own: what a manufacturer sends beyond its answer reaches nobody else.
H5  Only Unavailable, TimedOut, Refused or an answer comes out of here.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from distributor.gather.feed import shown
from distributor.gather.signing import signed_headers

HEADER_BYTES_MAX = 8_190  # of one line; what common servers allow
REFUSAL_BYTES_MAX = 10_000  # of an error answer, of which only the reason is shown
NONCE_BYTES = 18  # 24 characters of base64


class ManufacturerError(Exception):
    """Base: no usable answer. The text is the reason, safe to show."""


class Unavailable(ManufacturerError):
    """It cannot be reached, or answers what no manufacturer should."""


class TimedOut(ManufacturerError):
    """It did not answer in time; whether it did what was asked is unknown."""


class Refused(ManufacturerError):
    """It says definitely no (409)."""


@dataclass(frozen=True)
class Partner:
    """A configured manufacturer: where it is, and the key that signs what we ask."""

    code: str
    url: str
    key: str


@dataclass(frozen=True)
class Answer:
    body: bytes
    content_type: str


class Client:
    """Asks manufacturers; an asynchronous context manager, used within one event loop."""

    def __init__(self, partners: Mapping[str, Partner], *, deadline_seconds: float, bytes_max: int) -> None:
        self._partners = partners
        self._deadline_seconds = deadline_seconds
        self._bytes_max = bytes_max

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),  # H4; the round bounds how many at once
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # _call has the one deadline (H1)
            headers={"Accept-Encoding": "identity", "User-Agent": "central-distribution-system"},
            auto_decompress=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def offer(self, code: str, month: int) -> Answer:
        """What ``code`` offers for ``month``, not validated."""
        return await self._call(code, "GET", f"/api/v1/offers/{month}", b"", self._bytes_max)

    async def accept(self, code: str, month: int, content_sha256: str) -> None:
        """Tell ``code`` that its offer was booked; returns only if it agreed. Refused is definite."""
        body = json.dumps({"content_sha256": content_sha256}).encode()
        await self._call(code, "POST", f"/api/v1/offers/{month}/accept", body, REFUSAL_BYTES_MAX)

    async def _call(self, code: str, method: str, path: str, body: bytes, bytes_max: int) -> Answer:
        partner = self._partners[code]
        headers = signed_headers(
            code,
            partner.key,
            method=method,
            path=path,
            body=body,
            timestamp=int(time.time()),
            nonce=secrets.token_urlsafe(NONCE_BYTES),
        )
        if body:
            headers["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(self._deadline_seconds),
                self._session.request(
                    method, URL(partner.url + path), data=body or None, headers=headers, allow_redirects=False
                ) as response,
            ):
                return await _read(response, bytes_max)
        except TimeoutError as error:
            message = f"no complete answer within {self._deadline_seconds:g} s"
            raise TimedOut(message) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(shown(f"{type(error).__name__}: {error}", 200)) from error


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> Answer:
    """The answer's body if it is a good one; an error's body only as far as its reason goes."""
    if response.status not in (200, 409):
        message = f"answered {response.status}"
        raise Unavailable(message)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Unavailable("answered in a compression that was not asked for")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            message = f"answered more than {bytes_max} bytes"
            raise Unavailable(message)
    if response.status == 409:
        raise Refused(f"refused: {shown(bytes(body).decode('utf-8', 'replace'), 200)}")
    return Answer(bytes(body), response.headers.get("Content-Type", ""))
