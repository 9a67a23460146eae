"""What a TLS listener proves itself with: the server's contexts, which of them a client gets, and their files read again.

Q1  No renegotiation, no compression, no TLS below 1.2; only http/1.1 is agreed on (ALPN).
Q2  Files that cannot be used change nothing: connections go on with what was read before, all certificates of it.
Q3  A client that asks for a name (SNI) gets the first certificate that is for it, by the name itself before by a ``*.``;
    whoever asks for none of them, or for nothing, gets the default one, or with ``strict_sni`` no handshake.
"""

import logging
import ssl
from collections.abc import Mapping
from typing import Final

from load_balancer.options import CertificateFiles, TlsOptions
from settings.tls import FileFault, file_fault, names

log = logging.getLogger(__name__)

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def make_context(files: CertificateFiles, options: TlsOptions) -> ssl.SSLContext:
    """Q1; raises FileFault for files that cannot be used, and for ciphers that do not exist."""
    certificate, key = str(files.certificate), "" if files.key is None else str(files.key)
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


def chosen(name: str | None, contexts: Mapping[str, ssl.SSLContext]) -> ssl.SSLContext | None:
    """Q3. ``contexts``: by names of certificates, in lower case."""
    if name is None:
        return None
    whole = name.lower()
    return contexts.get(whole) or contexts.get("*." + whole.partition(".")[2])


class Certificate:
    """The certificates in use; ``read_again`` when their files have changed."""

    def __init__(self, options: TlsOptions) -> None:
        """Raises FileFault."""
        self.options = options
        self.context, self.names = _read(options)

    def read_again(self) -> None:
        """For connections from now on; raises FileFault (Q2)."""
        self.context, self.names = _read(self.options)
        log.info("read again: %s", ", ".join(str(files.certificate) for files in self.options.files))


def _read(options: TlsOptions) -> tuple[ssl.SSLContext, frozenset[str]]:
    """The default context, which hands a client over to the others (Q3), and the names of all."""
    contexts: dict[str, ssl.SSLContext] = {}
    made = []
    for files in options.files:
        context = make_context(files, options)
        made.append(context)
        for name in names(files.certificate):
            contexts.setdefault(name, context)

    def hand_over(tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        context = chosen(name, contexts)
        if context is not None:
            tls.context = context
        elif options.strict_sni:
            return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        return None

    if options.by_name:
        made[0].sni_callback = hand_over
    return made[0], frozenset(contexts)
