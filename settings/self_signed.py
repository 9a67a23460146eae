"""A certificate of our own in the state folder, for trying TLS where nobody gives us one.

C1  It is made where there is none, or where the one that is there ends within a month or is for other hosts; the key is
    readable by the owner only.
C2  Key and certificate are renamed into place one after the other: a process that dies between leaves a pair that does
    not fit, which the next start makes anew (C1).
"""

import socket
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from settings.secrets import write_text_owner_only
from settings.tls import file_fault, names

FOLDER = "tls"
CERTIFICATE, KEY = "certificate.pem", "certificate.pem.key"  # HAProxy finds a key by its certificate's name
_VALID_DAYS = 397  # what browsers accept at most
_RENEWED_BEFORE = timedelta(days=30)


def paths(state: Path) -> tuple[Path, Path]:
    """Where certificate and key are."""
    return state / FOLDER / CERTIFICATE, state / FOLDER / KEY


def ensure(state: Path, host: str) -> None:
    """Make them if needed (C1). ``host``: that is listened on."""
    certificate, key = paths(state)
    wanted = _hosts(host)
    later = datetime.now(UTC) + _RENEWED_BEFORE
    if (
        certificate.exists()
        and file_fault(str(certificate), str(key), later) is None
        and wanted <= set(names(certificate))
    ):
        return
    certificate.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made, private = _make(sorted(wanted))
    write_text_owner_only(key, private)
    write_text_owner_only(certificate, made)


def _hosts(host: str) -> set[str]:
    wildcards = {"", "0.0.0.0", "::"}  # noqa: S104 - to leave them out
    return {"localhost", "127.0.0.1", "::1", socket.gethostname().lower(), host.lower()} - wildcards


def _make(hosts: list[str]) -> tuple[str, str]:
    """Certificate and key in PEM. P-256: a handshake costs a tenth of one with RSA, and every client knows it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Central Distribution System, self-signed")])
    now = datetime.now(UTC)
    alternatives: list[x509.GeneralName] = []
    for host in hosts:
        try:
            alternatives.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            alternatives.append(x509.DNSName(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
