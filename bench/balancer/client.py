"""wrk with the heads of a browser (some 700 bytes), of three kinds:

same        always the same one
visitors    300 visitors, each with a cookie of their own, on 100 pages with the Referer of another one: 30,000 heads
never_same  no head comes twice, and no answer's head does
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.balancer.programs import OTHERS_CORE, pinned

_HEADERS = {
    "Connection": "keep-alive",
    "Cache-Control": "max-age=0",
    "Sec-Ch-Ua": '\\"Google Chrome\\";v=\\"131\\", \\"Chromium\\";v=\\"131\\", \\"Not_A Brand\\";v=\\"24\\"',
    "Sec-Ch-Ua-Mobile": "?0",
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB,en-US;q=0.9,en;q=0.8",
}
_COOKIE = "session=eyJjc3JmIjoiYzU4ZTRkYzE1NDA2Iiwi.ZyT9Gg.kT0f3JkEPqQ8mVtq0Xy_W3fS7QZ9pAkT0f3JkEPqQ8m-"
VISITORS, PAGES = 300, 100
# How each kind numbers its requests: pages and visitors. Heads are put together from parts as they are needed, for tens
# of thousands of them in the client's memory would push the proxies' own out of the processor's caches.
KINDS = {
    "same": ("1", "1"),
    "visitors": (f"math.random({PAGES})", f"math.random({VISITORS})"),
    "never_same": ("count", "count"),
}
PATHS = {"same": "/products", "visitors": "/products", "never_same": "/varied"}

_SCRIPT = """
local opening = "GET {path}?page="
local middle = " HTTP/1.1\\r\\nHost: shop.example\\r\\n{headers}Referer: http://shop.example{path}?page="
local cookie = "\\r\\nCookie: {cookie}"
local count = 0
function init(args)
  math.randomseed(1)
end
function request()
  count = count + 1
  local page, visitor = {page}, {visitor}
  return opening .. page .. middle .. (page * 7) % {pages} .. cookie .. visitor .. "\\r\\n\\r\\n"
end
"""
# Milliseconds between an answer and the next request on its connection, at random from none to ``delay_max``.
_DELAY = "function delay() return math.random(0, {delay_max}) end\n"


def visitors_heads() -> tuple[list[bytes], list[bytes]]:
    """The heads of the kind "visitors": one of the first for each page, and one of the second for each visitor behind it."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in _HEADERS.items()).replace('\\"', '"')
    path = PATHS["visitors"]
    openings = [
        f"GET {path}?page={page} HTTP/1.1\r\nHost: shop.example\r\n{headers}"
        f"Referer: http://shop.example{path}?page={page * 7 % PAGES}\r\nCookie: {_COOKIE}"
        for page in range(1, PAGES + 1)
    ]
    endings = [f"{visitor}\r\n\r\n" for visitor in range(1, VISITORS + 1)]
    return [opening.encode() for opening in openings], [ending.encode() for ending in endings]


@dataclass(frozen=True)
class Result:
    """``errors``: what wrk says of failed requests; such a run counts for nothing."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: str


def script(folder: Path, kind: str, *, delay_max_ms: int = 0) -> Path:
    """A script for wrk; returns its path."""
    page, visitor = KINDS[kind]
    headers = "".join(f"{name}: {value}\\r\\n" for name, value in _HEADERS.items())
    text = _SCRIPT.format(path=PATHS[kind], headers=headers, cookie=_COOKIE, page=page, visitor=visitor, pages=PAGES)
    if delay_max_ms:
        text += _DELAY.format(delay_max=delay_max_ms)
    file = folder / f"{kind}-{delay_max_ms}.lua"
    file.write_text(text)
    return file


def ask(port: int, lua: Path, *, connections: int, seconds: float, cores: str = OTHERS_CORE) -> Result:
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--latency",
        "-s",
        str(lua),
        f"http://127.0.0.1:{port}",
    ]
    done = subprocess.run(pinned(command, cores), capture_output=True, text=True, check=True)
    text = done.stdout
    total, rate = re.search(r"(\d+) requests in", text), re.search(r"Requests/sec:\s+([\d.]+)", text)
    if total is None or rate is None:
        raise RuntimeError(f"wrk said: {text} {done.stderr}")
    errors = "; ".join(re.findall(r"Socket errors:.*|Non-2xx.*", text))
    return Result(int(total[1]), float(rate[1]), _percentile(text, "50%"), _percentile(text, "99%"), errors)


def _percentile(text: str, name: str) -> float:
    match = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", text)
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]] if match else 0.0
