"""The schema's history, one file a step (Alembic). Promise: after the last step the database equals ``tables.py``."""
