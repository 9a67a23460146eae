"""The shop for people: server-rendered pages that work without JavaScript, from 320 px, in light and dark.

Promises: stock is shown honestly and lost lines are named; a double click never orders twice; every form proves that
this shop made it for this browser; a GET changes nothing.
"""

from customers.pages.views import blueprint

__all__ = ["blueprint"]
