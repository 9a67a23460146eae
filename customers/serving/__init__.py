"""Serving: from the bytes of a connection to the application and back. The only folder that knows of uvicorn.

A request goes through `connections.py` (what a connection may cost), `server.py` (event loop, bodies, signals), `lanes.py`
(threads) and `wsgi.py`. Two kinds of requests take a shorter way: `stock_at_once.py` and `order_desk.py`.
Promises: nobody keeps a thread by being slow; whoever waits too long is told to come again (503); a drain loses no request.
"""
