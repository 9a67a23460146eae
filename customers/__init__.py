"""Customers: one web instance of the shop. Pages for people, a JSON API for programs, accounts for both.

Promises: P3 a lost answer can be asked for again with the same key; P6 a login on one instance holds on all, and a logout
ends it on all; P7 bad input gets a clear error that names the field, changes nothing and is never a 500.
Keeps nothing between two requests that another instance would have to know. Never sells by itself: `distributor` does.

A request comes in by `serving`, is answered by `pages` or `api` (`app.py` joins them, `error_pages.py` tells what goes wrong),
which ask `shop.py` for goods, carts and orders, `accounts` for who somebody is, and `purchase.py` to buy. What they share
is put together in `assembly.py` and found by `instance.py`.
"""
