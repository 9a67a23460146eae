"""Pictures of goods, drawn from the good's number and words in its name: no photographer, no files, no database.

G1  The same good and name always give the same picture, in every process and version of Python.
G2  Nothing of a name gets into a picture or its address: words only choose from closed lists.
G3  An address says everything that its picture is made of, so a picture never changes and may be kept for ever.
"""

from customers.pages.pictures.motif import Motif, motif_of, read_motif
from customers.pages.pictures.painting import STYLE_SOURCE, VERSION, paint

__all__ = ["STYLE_SOURCE", "VERSION", "Motif", "motif_of", "paint", "read_motif"]
"""VERSION changes with anything that changes how pictures look."""
