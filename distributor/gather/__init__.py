"""Gather: asks manufacturers for their offers, trusts nothing they say, books each once; a bad one harms only itself."""
