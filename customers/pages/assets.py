"""Style sheet, scripts, fonts, pictures: addressed by their content, so that browsers keep them until they change.

The files are small and never change while a process runs: they are kept in memory, coded once as well as it goes.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from flask import Response, request
from werkzeug.wrappers import Response as AnyResponse

from customers import compression, vary
from customers.errors import NotFound
from customers.pages import pictures

FOLDER = Path(__file__).parent / "static"
VERSION_DIGITS = 12
FOR_EVER = "public, max-age=31536000, immutable"
PICTURE_POLICY = (
    f"default-src 'none'; style-src {pictures.STYLE_SOURCE}; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Some browsers keep to it within a page, too: a picture may have its own style, and nothing else."""
BEST_LEVEL = 9  # of gzip: once a process
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".md": "text/plain",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class Asset:
    """A file as it is sent; ``coded`` with gzip, or None for what is coded already."""

    mimetype: str
    content: bytes
    coded: bytes | None


def _read(path: Path) -> Asset:
    mimetype, content = _TYPES[path.suffix], path.read_bytes()
    coded = compression.gzipped(content, BEST_LEVEL) if compression.is_compressible(mimetype) else None
    return Asset(mimetype, content, coded)


_FILES = {path.name: _read(path) for path in sorted(FOLDER.iterdir())}


def _version() -> str:
    """One for the whole folder, so that its files may name one another by their plain names."""
    digest = hashlib.sha256()
    for name, asset in _FILES.items():
        digest.update(name.encode() + b"\0" + asset.content + b"\0")
    return digest.hexdigest()[:VERSION_DIGITS]


VERSION = _version()


def address(name: str) -> str:
    return f"/static/{VERSION}/{name}"


def picture_address(sku: str, name: str) -> str:
    return f"/picture/{pictures.VERSION}/{pictures.motif_of(sku, name)}.svg"


def static_file(version: str, name: str) -> AnyResponse:
    """The version in the path says what the file contains: it may be kept for ever."""
    asset = _FILES.get(name)
    if asset is None:
        raise NotFound
    response = Response(asset.content, mimetype=asset.mimetype)
    if asset.coded is not None:
        vary.add(response, "Accept-Encoding")
        if compression.may_be_coded():
            response.set_data(asset.coded)
            response.headers["Content-Encoding"] = compression.CODING
    response.headers["Cache-Control"] = FOR_EVER if version == VERSION else "no-cache"
    response.set_etag(VERSION, weak=True)
    return response.make_conditional(request)


def picture(version: str, motif: str) -> Response:
    """Of another version of the shop, beside which this one runs, the picture is shown and not kept."""
    wanted = pictures.read_motif(motif)
    if wanted is None:
        raise NotFound
    response = Response(pictures.paint(wanted), mimetype="image/svg+xml")
    response.headers["Content-Security-Policy"] = PICTURE_POLICY
    response.headers["Cache-Control"] = FOR_EVER if version == pictures.VERSION else "no-cache"
    return response
