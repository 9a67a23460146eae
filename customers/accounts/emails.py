"""E-mail addresses: a simple subset, in one canonical form that decides which two are the same.

E1  Two addresses that look the same to a mail server or to an eye are one: NFKC, then casefold, then ASCII only.
E2  No accepted address can start a new header line or hide characters: the alphabet is closed.
"""

import re
import unicodedata

from customers.languages import gettext as _

LENGTH_MAX = 254  # RFC 5321 4.5.3.1.3: a path of 256 octets includes its two angle brackets

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
PATTERN = rf"^{_LOCAL.pattern}@{_DOMAIN.pattern}$"
"""For the description of the API."""


def normalised(text: str) -> str:
    """The address as it is kept and shown; raises ValueError with a phrase for people."""
    address = text if len(text) > 2 * LENGTH_MAX else unicodedata.normalize("NFKC", text).strip(" ")
    if len(address) > LENGTH_MAX:
        raise ValueError(_("use at most %(count)s characters", count=LENGTH_MAX))
    local, _at, domain = address.partition("@")
    if not local or not domain:
        raise ValueError(_("write it like name@example.org"))
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        allowed = ". ! # $ % & ' * + / = ? ^ _ ` { | } ~ -"
        raise ValueError(
            _("write it like name@example.org, with plain letters, digits and %(signs)s only", signs=allowed)
        )
    return address


def canonical(address: str) -> str:
    """What uniqueness is decided by (E1); takes what `normalised` gave."""
    return address.casefold()
