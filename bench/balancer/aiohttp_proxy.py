"""A plain proxy as one writes it with aiohttp: a handler that asks the next server and passes on its answer."""

import itertools
import sys

from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict

HOP_BY_HOP = ("Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Content-Length")
SESSION = web.AppKey("session", ClientSession)


def make_app(ports: list[int]) -> web.Application:
    turn = itertools.cycle(ports)

    async def pass_on(request: web.Request) -> web.Response:
        headers = CIMultiDict(request.headers)
        for name in HOP_BY_HOP:
            headers.popall(name, None)
        headers["X-Forwarded-For"] = request.remote or ""
        url = f"http://127.0.0.1:{next(turn)}{request.raw_path}"
        body = await request.read() if request.body_exists else None
        async with request.app[SESSION].request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            passed_on = CIMultiDict(answer.headers)
            for name in HOP_BY_HOP:
                passed_on.popall(name, None)
            return web.Response(status=answer.status, headers=passed_on, body=await answer.read())

    async def start(app: web.Application) -> None:
        connector = TCPConnector(limit=0, keepalive_timeout=60)
        app[SESSION] = ClientSession(connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar())

    async def stop(app: web.Application) -> None:
        await app[SESSION].close()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pass_on)
    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    return app


if __name__ == "__main__":
    listen, *servers = map(int, sys.argv[1:])
    web.run_app(make_app(servers), host="127.0.0.1", port=listen, access_log=None, print=None)
