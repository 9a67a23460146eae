"""One line for every answer: what is in it (lines.py, pure) and how it gets into a file without anybody waiting (writer.py)."""
