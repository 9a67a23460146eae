"""TLS at the shop's own address: what is configured, and whether the files hold what they should."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from settings.section import Section

FILE_BYTES_MAX = 1_000_000
# Forward secrecy and authenticated encryption only, as Mozilla's "intermediate" has it for TLS 1.2; those of TLS 1.3 all are so.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def _absolute(text: str) -> str:
    """Whatever folder a process runs in, it is the same file."""
    return str(Path(text).expanduser().absolute()) if text else ""


File = Annotated[str, Field(max_length=4_096), AfterValidator(_absolute)]


class KeyPair(Section):
    """A certificate and its key, as Tls has them."""

    certificate: Annotated[File, Field(min_length=1)]
    key: File = ""


class Tls(Section):
    """``certificate``: PEM, the server's own first, then those between; ``key``: PEM, empty: in the certificate's file.

    ``further``: for clients that ask for a name of theirs (SNI); all others get the first one, or with ``strict_sni`` none.
    ``self_signed``: one of our own, in the state folder. ``redirect_port``: a second listener, whose only answer is where TLS is.
    """

    certificate: File = ""
    key: File = ""
    further: Annotated[list[KeyPair], Field(max_length=100)] = Field(default_factory=list)
    strict_sni: bool = False
    self_signed: bool = False
    version_min: Literal["1.2", "1.3"] = "1.2"
    ciphers: Annotated[str, Field(min_length=1, max_length=2_000)] = CIPHERS
    handshake_timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 10_000
    redirect_port: Annotated[int, Field(ge=0, le=65_535)] = 0

    @property
    def on(self) -> bool:
        return bool(self.certificate) or self.self_signed

    @model_validator(mode="after")
    def _words_agree(self) -> "Tls":
        if self.certificate and self.self_signed:
            msg = "certificate and self_signed exclude each other"
            raise ValueError(msg)
        if self.key and not self.certificate:
            msg = "key needs certificate"
            raise ValueError(msg)
        for word in ("redirect_port", "further", "strict_sni"):
            if getattr(self, word) and not self.on:
                msg = f"{word} needs a certificate, or self_signed: true"
                raise ValueError(msg)
        return self


class FileFault(ValueError):
    """A file does not hold what it should; ``key``: of the section, the one that names it."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(f"{key}: {what}")
        self.key = key
        self.what = what


def file_fault(certificate: str, key: str, now: datetime | None = None) -> FileFault | None:
    """What is wrong with these files (``key`` empty: it is in the other one); None if they can be used now."""
    try:
        _judge(certificate, key, now or datetime.now(UTC))
    except FileFault as fault:
        return fault
    return None


def _judge(certificate: str, key: str, now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    where = "key" if key else "certificate"
    text = _read("certificate", certificate)
    key_text = _read("key", key) if key else text
    try:
        own = x509.load_pem_x509_certificates(text)[0]
    except ValueError as error:
        raise FileFault("certificate", f"{certificate} holds no certificate in PEM") from error
    if now > own.not_valid_after_utc:
        raise FileFault("certificate", f"{certificate} has expired on {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if now < own.not_valid_before_utc:
        raise FileFault(
            "certificate", f"{certificate} is valid only from {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
        )
    try:
        private: Any = load_pem_private_key(key_text, None)
    except TypeError as error:
        raise FileFault(
            where, f"the key in {key or certificate} has a passphrase, which nobody could type in"
        ) from error
    except ValueError as error:
        raise FileFault(where, f"{key or certificate} holds no private key in PEM") from error
    if private.public_key() != own.public_key():
        raise FileFault(where, f"the key in {key or certificate} does not belong to the certificate in {certificate}")


def _read(key: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise FileFault(key, f"{path} cannot be read: {error.strerror}") from error


def names(certificate: Path) -> Iterator[str]:
    """Hosts that the certificate is for, in lower case; ``*.`` begins one that stands for all of a domain."""
    from cryptography import x509

    own = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    try:
        found = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from (name.lower() for name in found.get_values_for_type(x509.DNSName))
    yield from (str(address) for address in found.get_values_for_type(x509.IPAddress))
