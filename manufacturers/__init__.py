"""Manufacturers: production lines that fill a ledger, an API that offers what lies in it, a consumer of what was sold.

Each manufacturer is another company: it knows the distributor only by signed requests and by messages. Promises: every
unit is in exactly one place of the ledger; an offer, once given, never changes; an event counts once; ``kill -9`` at any
moment loses nothing that anybody was told. Imports ``broker`` and ``settings`` only.
"""
