"""Load balancer: HTTP/1.1, round robin, strict about every byte that a client or a server sends.

Promises: a request that reaches a server has exactly one meaning and is written by us, never copied; a POST is never
sent twice; an answer that was cut off never looks whole; what reached no server says so (``X-Not-Dispatched: 1``).
The core (http1: bytes to events and back; balancing: choice of server) does no I/O; proxy moves the bytes.
"""
