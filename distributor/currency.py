"""The one currency of the shop: a basket of several could have no total."""

CURRENCY = "GBP"
"""ISO 4217. Offers in another one are refused."""
