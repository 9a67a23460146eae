"""Tests with a real browser; a package, so that they share one."""
