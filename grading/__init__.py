"""Grading: a locking strategy, ours or a student's, tried in every way that a shop can try it, and given marks.

Promises: whatever the strategy does (hang, exit, leak, lie), the grading ends in time and names it; marks are ratios to
`row_lock` and `naive`, measured in the same run on the same database; the contract's cases are those of our own tests.
"""
