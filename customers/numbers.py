"""How whole numbers are written in paths, forms and parameters: ASCII digits, no sign, no leading zero, bounded.

One rule for the pages and the API, so that neither takes what the other refuses.
"""

ROW_ID = "[1-9][0-9]{0,17}"
"""Of a stock row or an order: within PostgreSQL's bigint."""
ROW_ID_MAX = 10**18 - 1
COUNT = "[1-9][0-9]{0,5}"
"""A quantity, or the number of a page."""
COUNT_MAX = 999_999
