"""Months: the simulated calendar, and the one leader that gathers, opens and closes them; decisions apart from SQL."""
