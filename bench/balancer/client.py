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
COUNTS = {
    "same": 1,
    "visitors": VISITORS * PAGES,
    "never_same": 60_000,
}  # the last: in turns, many more than are remembered

# ``delay_max`` milliseconds between an answer and the next request on its connection, at random from none on.
_SCRIPT = """
local headers = {{ {headers} }}
local requests, next_one, kind = {{}}, 0, "{kind}"
function init(args)
  math.randomseed(1)
  for number = 1, {count} do
    local path, visitor = "/products?page=" .. number % {pages}, number
    if kind == "never_same" then
      path = "/varied?number=" .. number
    elseif kind == "visitors" then
      visitor = math.floor(number / {pages})
    end
    headers["Referer"] = "http://shop.example/products?page=" .. (number * 7) % {pages}
    headers["Cookie"] = "{cookie}" .. visitor
    requests[number] = wrk.format("GET", path, headers)
  end
  if kind == "visitors" then
    for number = {count}, 2, -1 do
      local other = math.random(number)
      requests[number], requests[other] = requests[other], requests[number]
    end
  end
end
function request()
  next_one = next_one % {count} + 1
  return requests[next_one]
end
"""
_DELAY = "function delay() return math.random(0, {delay_max}) end\n"


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
    headers = ", ".join(f'["{name}"] = "{value}"' for name, value in ({"Host": "shop.example"} | _HEADERS).items())
    text = _SCRIPT.format(headers=headers, kind=kind, count=COUNTS[kind], pages=PAGES, cookie=_COOKIE)
    if delay_max_ms:
        text += _DELAY.format(delay_max=delay_max_ms)
    file = folder / f"{kind}-{delay_max_ms}.lua"
    file.write_text(text)
    return file


def ask(port: int, lua: Path, *, connections: int, seconds: float) -> Result:
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
    done = subprocess.run(pinned(command, OTHERS_CORE), capture_output=True, text=True, check=True)
    text = done.stdout
    total, rate = re.search(r"(\d+) requests in", text), re.search(r"Requests/sec:\s+([\d.]+)", text)
    if total is None or rate is None:
        raise RuntimeError(f"wrk said: {text} {done.stderr}")
    errors = "; ".join(re.findall(r"Socket errors:.*|Non-2xx.*", text))
    return Result(int(total[1]), float(rate[1]), _percentile(text, "50%"), _percentile(text, "99%"), errors)


def _percentile(text: str, name: str) -> float:
    match = re.search(rf"{name}\s+([\d.]+)(us|ms|s)", text)
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[match[2]] if match else 0.0
