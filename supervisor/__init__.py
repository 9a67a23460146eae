"""Supervisor: starts, watches, restarts and stops every process, the embedded PostgreSQL and a private RabbitMQ too.

Promises: a process that dies is restarted (P5); stopping loses nothing and leaves no process, port or lock behind (P8);
what cannot start is said with its cause and its fix. Imports settings only.
"""
