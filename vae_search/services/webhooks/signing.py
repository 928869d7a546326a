"""Signatures of webhooks by the scheme of Standard Webhooks (standardwebhooks.com), version `v1`.

HMAC-SHA256 over `ID.TIMESTAMP.BODY`, the body's exact bytes, so that a receiver may check with any library of that
scheme who sent it, that nobody changed it, and that it is not an old one sent again.
"""

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)  # what the scheme asks for


def secret_key(secret: str) -> bytes:
    """The key in a secret such as `whsec_…`.

    Raises:
        ValueError: It is none; the message does not show it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError(
            f"must be {PREFIX} and the base64 of {SECRET_BYTES[0]} to {SECRET_BYTES[-1]} random bytes. "
            f'Make one: echo "{PREFIX}$(openssl rand -base64 32)"'
        )
    return key


def signed_headers(key: bytes, *, event: str, sent_at_s: int, body: bytes) -> dict[str, str]:
    """The headers that tell an event's id, when it was sent (Unix time), and that we sent it."""
    content = f"{event}.{sent_at_s}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": event, "webhook-timestamp": str(sent_at_s), "webhook-signature": f"v1,{signature}"}
