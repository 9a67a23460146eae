"""Style sheet, scripts, pictures: addressed by their content, so that browsers keep them until they change."""

import hashlib
from pathlib import Path

from flask import Response, send_from_directory

from customers.errors import NotFound
from customers.pages import pictures

FOLDER = Path(__file__).parent / "static"
VERSION_DIGITS = 12
FOR_EVER = "public, max-age=31536000, immutable"


def _version() -> str:
    """One for the whole folder, so that its files may name one another by their plain names."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:VERSION_DIGITS]


VERSION = _version()


def address(name: str) -> str:
    return f"/static/{VERSION}/{name}"


def picture_address(sku: str, name: str) -> str:
    return f"/picture/{pictures.VERSION}/{pictures.motif_of(sku, name)}.svg"


def static_file(version: str, name: str) -> Response:
    """The version in the path says what the file contains: it may be kept for ever."""
    response = send_from_directory(FOLDER, name)
    if version == VERSION:
        response.headers["Cache-Control"] = FOR_EVER
    return response


def picture(version: str, motif: str) -> Response:
    """Of another version of the shop, beside which this one runs, the picture is shown and not kept."""
    wanted = pictures.read_motif(motif)
    if wanted is None:
        raise NotFound
    response = Response(pictures.paint(wanted), content_type="image/svg+xml; charset=utf-8")
    response.headers["Cache-Control"] = FOR_EVER if version == pictures.VERSION else "no-cache"
    return response
