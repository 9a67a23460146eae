"""What the commands of `main.py` take; the work is done by the packages, which are imported only when it is asked for."""
