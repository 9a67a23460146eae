"""The window: what any passer-by sees of the shop, read once for many (`recent.py`) and kept for a moment.

Promises: nothing is decided by what is kept here, and nothing of it belongs to one visitor. The quantities of open pages
are in `stock_watch.py`.
"""

from customers.window.window import SHOWN_SECONDS, Window, nobody_is_told

__all__ = ["SHOWN_SECONDS", "Window", "nobody_is_told"]
