"""HTTP/1.1 as bytes and events (RFC 9110, 9112): grammar, parsers for requests and responses, and our own writer.

No sockets, no clock, no tasks: a test enforces that. Every verdict depends on the bytes alone.
"""
