"""Distributor: stock, months and orders in PostgreSQL; gathers offers, sells under a locking strategy, relays sales.

Promises: P1 never sold more than supplied; P2 an acknowledged order exists once and is charged once; P3 the same
idempotency key gets the same answer; P4 after a drain both ledgers agree. Never imports Flask or the manufacturers.
"""
