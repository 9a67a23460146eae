"""Load balancer: HTTP/1.1, round robin, strict about every byte that a client or a server sends.

Promises: a request that reaches a server has exactly one meaning and is written by us, never copied; a POST is never
sent twice; an answer that was cut off never looks whole; what reached no server says so (``X-Not-Dispatched: 1``).
The core (grammar, lines, chunks, requests, responses, targets, fields, servers, algorithms, retries) does no I/O.
"""
