"""Which server gets a request, and what becomes of one that failed: decisions as pure functions of events and time.

No sockets, no clock, no tasks: a test enforces that. ``ServerSet`` holds all servers together.
"""
