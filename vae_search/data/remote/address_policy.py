"""Policy on the addresses that a download may lead to: no redirect reaches what its user did not name.

A public server must not make this machine ask hosts that only this machine can see (server-side request forgery).
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

_ADDRESS = ipaddress.IPv4Address | ipaddress.IPv6Address
_METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254")})  # EC2's over IPv6; the others are link-local
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def refusal(url: str, addresses: Iterable[str], *, may_be_private: bool, secure_only: bool) -> str | None:
    """Reason why `url` must not be asked; None if it may be.

    Args:
        addresses: all that the host's name stands for; none where a proxy looks it up.
        may_be_private: hosts of this machine and of its networks are meant. True for an address that a user wrote on
            the command line, and for redirects from such a host; a service for others says False.
        secure_only: the way here was https, and must stay so.
    """
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        return "the address cannot be read"
    if scheme not in ("http", "https"):
        return f"{scheme or 'no scheme'}:// is not fetched, only https:// and http://"
    if not host:
        return "the address names no host"
    if secure_only and scheme != "https":
        return "it leads from https to http"
    found = [known for text in {host, *addresses} if (known := address_in(text)) is not None]
    if any(is_link_local(address) for address in found):
        return "it leads to a link-local address, where clouds keep credentials"
    if not may_be_private and (is_local_name(host) or any(not is_public(address) for address in found)):
        return "it leads to a private address"
    return None


def address_in(text: str) -> _ADDRESS | None:
    """The address that `text` is, an IPv4 address unwrapped from its IPv6 forms; None for a name."""
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def is_link_local(address: _ADDRESS) -> bool:
    """True for an address of the next machine or of a cloud's service of credentials."""
    return address.is_link_local or address in _METADATA


def is_public(address: _ADDRESS) -> bool:
    """True if everybody can reach it."""
    return address.is_global and not address.is_multicast


def is_local_name(host: str) -> bool:
    """True for a name that is this machine's by definition (RFC 6761)."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")
