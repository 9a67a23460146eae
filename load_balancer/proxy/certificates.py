"""What a TLS listener proves itself with: the server's context, and its files read again.

Q1  No renegotiation, no compression, no TLS below 1.2; only http/1.1 is agreed on (ALPN).
Q2  Files that cannot be used change nothing: connections go on with what was read before.
"""

import logging
import ssl
from typing import Final

from load_balancer.options import TlsOptions
from settings.tls import FileFault, file_fault, names

log = logging.getLogger(__name__)

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def make_context(options: TlsOptions) -> ssl.SSLContext:
    """Q1; raises FileFault for files that cannot be used, and for ciphers that do not exist."""
    certificate, key = str(options.certificate), "" if options.key is None else str(options.key)
    fault = file_fault(certificate, key)
    if fault is not None:
        raise fault
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[options.version_min]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.set_ciphers(options.ciphers)
    except ssl.SSLError as error:
        raise FileFault("ciphers", f"{options.ciphers!r} names no cipher that there is") from error
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key or None)
    except (ssl.SSLError, OSError) as error:
        raise FileFault("certificate", f"{certificate} cannot be used: {error}") from error
    return context


class Certificate:
    """The certificate in use; ``read_again`` when its files have changed."""

    def __init__(self, options: TlsOptions) -> None:
        """Raises FileFault."""
        self.options = options
        self.context = make_context(options)
        self.names = frozenset(names(options.certificate))

    def read_again(self) -> None:
        """For connections from now on; raises FileFault (Q2)."""
        self.context = make_context(self.options)
        self.names = frozenset(names(self.options.certificate))
        log.info("the certificate %s was read again", self.options.certificate)
