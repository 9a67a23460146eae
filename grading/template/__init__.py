"""Template: what `main.py strategy new` copies: a strategy that is right as it stands, commented for its next author."""
