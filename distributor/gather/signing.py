"""How the distributor proves to a manufacturer who asks. Pure: time and nonce come in as arguments.

The signature covers time, nonce, method, path with query and the body's hash, so that a request can be neither altered
nor, within the manufacturer's window, repeated by somebody who overheard it.
"""

import hashlib
import hmac


def signed_headers(
    code: str, key: str, *, method: str, path: str, body: bytes, timestamp: int, nonce: str
) -> dict[str, str]:
    """The headers of one request to the manufacturer ``code``; ``path`` includes the query."""
    signed = f"{timestamp}\n{nonce}\n{method}\n{path}\n{hashlib.sha256(body).hexdigest()}"
    return {
        "X-Manufacturer": code,
        "X-Timestamp": str(timestamp),
        "X-Nonce": nonce,
        "X-Signature": hmac.new(key.encode(), signed.encode(), hashlib.sha256).hexdigest(),
    }
