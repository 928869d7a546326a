"""Object-store errors: from what the client library says to words for people and a class for retries."""

import re
from dataclasses import dataclass, replace

_STATUS = re.compile(r"status code: (\d{3}) ([A-Za-z -]+)")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_CAUSE = re.compile(r'message: "([^"\\]{1,100})"')  # the operating system's words, deep in the library's report
_TIMEOUT = re.compile(r"kind: Timeout|TimedOut")
_GOOGLE = "GCS"
_METADATA_SERVICE = "//169.254.169.254/"  # asked for credentials when there are none in the environment

NETWORK = "Check the network and AWS_ENDPOINT_URL"
CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if there is one)"
IN_GOOGLE_WORDS = {
    NETWORK: "Check the network",
    CREDENTIALS: "Set GOOGLE_APPLICATION_CREDENTIALS, or use a machine or pod with a service account",
}
EXPIRED = (
    "The session's credentials have expired: set new ones, or use some that renew themselves (a role of the pod, the "
    "container or the machine)"
)
RIGHTS = "Check the credentials in the environment, and that they may read, write, list and remove there"
BUCKET = "Create the bucket, or give another --store"
ENDPOINT = "Check AWS_ENDPOINT_URL and AWS_REGION; an endpoint without TLS needs AWS_ALLOW_HTTP=true"
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
PASSING_STATUSES = frozenset({408, 409, 425, 429})  # beside all of 500 and above


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One failed request, in words without addresses or keys."""

    reason: str
    advice: str
    passing: bool
    """the same request may succeed a little later"""
    status: int | None
    """of HTTP; None if there was no answer"""
    code: str | None
    """S3's own word for it, such as NoSuchBucket"""

    @property
    def says_absent(self) -> bool:
        """The store itself said that there is no such object; a 404 of anything else on the way says nothing."""
        return self.status == 404 and self.code == "NoSuchKey"


def trouble_of(error: Exception) -> Trouble:
    """Read the report of a failed request.

    The report holds addresses, which may hold a password, and answers of any length: only what is known to be harmless
    is taken out of it.
    """
    trouble = _trouble_in(str(error))
    if _GOOGLE in str(error):
        return replace(trouble, advice=IN_GOOGLE_WORDS.get(trouble.advice, trouble.advice))
    return trouble


def _trouble_in(report: str) -> Trouble:
    found, code = _STATUS.search(report), _CODE.search(report)
    if _METADATA_SERVICE in report:
        return Trouble(
            reason="no credentials in the environment, and the machine gives none",
            advice=CREDENTIALS,
            passing=False,
            status=None,
            code=None,
        )
    if found is None:
        reason, advice, passing = _without_answer(report)
        return Trouble(reason=reason, advice=advice, passing=passing, status=None, code=None)
    status, word = int(found[1]), code[1] if code else None
    return Trouble(
        reason=f"{status} {found[2].strip()}" + (f" ({word})" if word else ""),
        advice=_advice(status, word),
        passing=status in PASSING_STATUSES or (status >= 500 and status != 501),
        status=status,
        code=word,
    )


def _without_answer(report: str) -> tuple[str, str, bool]:
    """Reason, advice, and whether it may pass."""
    if "Received redirect" in report:
        return "the bucket is in another region", "Set AWS_REGION to the bucket's", False
    if "builder error" in report:
        return "the endpoint's address cannot be used", ENDPOINT, False
    if _TIMEOUT.search(report):
        return "no answer in time", NETWORK, True
    if cause := _CAUSE.search(report):
        return cause[1], NETWORK, True
    return "the connection broke off" if "HTTP error" in report else "the request failed", NETWORK, True


def _advice(status: int, code: str | None) -> str:
    if code == "NoSuchBucket":
        return BUCKET
    if code in EXPIRED_CODES:
        return EXPIRED
    if status in (401, 403):
        return RIGHTS
    if 300 <= status < 500 and status not in PASSING_STATUSES:
        return ENDPOINT
    if status == 501:
        return "The store must know PUT with If-None-Match: use one that does"
    return "Wait for the store to recover"
