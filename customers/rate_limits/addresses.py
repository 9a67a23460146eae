"""Which network addresses count as one sender."""

import ipaddress

IPV6_PREFIX_BITS = 64  # the smallest network that a provider hands out: all of it is one household


def subject_of_address(address: str) -> str:
    """The sender behind an address: an IPv4 address itself, of IPv6 the network; other text as it is."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX_BITS), strict=False))
    return str(parsed)
