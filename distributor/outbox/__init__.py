"""Outbox: events written by the transactions that caused them, and the relay that brings each to the broker at least once."""
