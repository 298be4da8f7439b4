"""What can go wrong: one class per error code of the service, all below KernelhubError."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .execution import Execution
    from .package_info import PackageInstall


class KernelhubError(Exception):
    """Anything this package raises on purpose.

    status      HTTP status of the reply, None when there was no reply
    code        the service's stable code, such as "not_found"
    message     what happened
    hint        what to do about it, where the service knows
    request_id  to find the request in the service's log
    details     more, by code
    retry_after seconds the service asked us to wait, None when it did not
    """

    default_code = "error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        hint: str | None = None,
        request_id: str | None = None,
        details: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code or self.default_code
        self.hint = hint
        self.request_id = request_id
        self.details = details
        self.retry_after = retry_after

    def __str__(self) -> str:
        text = f"{self.message} [{self.code}]"
        if self.hint:
            text += f"\n  hint: {self.hint}"
        if self.request_id:
            text += f"\n  request: {self.request_id}"
        return text


class InvalidRequestError(KernelhubError):
    """400: the request does not say what the service can do."""

    default_code = "invalid_request"


class AuthenticationError(KernelhubError):
    """401: no token, or one that is unknown, revoked or expired."""

    default_code = "unauthorized"


class PermissionDeniedError(KernelhubError):
    """403: this user may not do that."""

    default_code = "forbidden"


class PolicyDeniedError(PermissionDeniedError):
    """403: a policy refuses it; details["rule"] says which."""

    default_code = "policy_denied"


class NotFoundError(KernelhubError):
    """404: it does not exist, or is another user's."""

    default_code = "not_found"


class MethodNotAllowedError(KernelhubError):
    """405: the path exists, the method does not."""

    default_code = "method_not_allowed"


class ConflictError(KernelhubError):
    """409: it contradicts what is there, such as a session with another language."""

    default_code = "conflict"


class BusyError(KernelhubError):
    """409: the kernel runs something else and queue=False was asked for."""

    default_code = "busy"


class GoneError(KernelhubError):
    """410: it was there and ended; the message says why."""

    default_code = "gone"


class PreconditionFailedError(KernelhubError):
    """412: it changed since it was read."""

    default_code = "precondition_failed"


class TooLargeError(KernelhubError):
    """413: above a size limit, which the message names."""

    default_code = "too_large"


class UnsupportedMediaTypeError(KernelhubError):
    """415: a body of a type the service does not take here."""

    default_code = "unsupported_media_type"


class RangeNotSatisfiableError(KernelhubError):
    """416: a range outside of what is there."""

    default_code = "range_not_satisfiable"


class RateLimitedError(KernelhubError):
    """429: too many requests; retry_after says when to come again."""

    default_code = "rate_limited"


class QuotaExceededError(KernelhubError):
    """429: the user's share is used up."""

    default_code = "quota_exceeded"


class InternalError(KernelhubError):
    """500: a bug of the service; request_id finds it in its log."""

    default_code = "internal"


class SandboxFailedError(KernelhubError):
    """502: the sandbox did not start; the message has the tail of what it said."""

    default_code = "sandbox_failed"


class KernelDiedError(KernelhubError):
    """502: the kernel died while it started."""

    default_code = "kernel_died"


class UnavailableError(KernelhubError):
    """503: the service cannot take work now."""

    default_code = "unavailable"


class TimeoutError_(KernelhubError, TimeoutError):
    """504: the start took too long; or, with status None, our own waiting did."""

    default_code = "timeout"


class ConnectionError_(KernelhubError, ConnectionError):
    """The service could not be reached, or the connection broke and stayed broken.

    sent  False when the request certainly did not reach the service
    """

    default_code = "connection"

    def __init__(self, message: str, *, sent: bool = True, **more: Any) -> None:
        super().__init__(message, **more)
        self.sent = sent


class ConfigurationError(KernelhubError):
    """No address or token to work with."""

    default_code = "configuration"


class ProtocolError(KernelhubError):
    """The reply is not what the contract says."""

    default_code = "protocol"


class ExecutionError(KernelhubError):
    """The code ended with another status than ok; `execution` has all of it."""

    default_code = "execution"

    def __init__(self, execution: Execution) -> None:
        error = execution.error
        what = f"{error.name}: {error.value}" if error else f"the run ended as {execution.status}"
        if execution.language == "command":
            last = execution.stderr.strip().rpartition("\n")[2]
            what = f"the command ended as {execution.status}, exit code {execution.exit_code}"
            what += f": {last}" if last else ""
        super().__init__(what, code=execution.status)
        self.execution = execution
        self.name = error.name if error else execution.status
        self.value = error.value if error else ""
        self.traceback = error.traceback if error else []


class PackageError(KernelhubError):
    """An install ended with another status than ok; `install` has all of it."""

    default_code = "package"

    def __init__(self, install: PackageInstall) -> None:
        what = install.message or f"the install ended as {install.status}"
        last = install.output.strip().rpartition("\n")[2]
        super().__init__(f"{what}: {last}" if last else what, code=install.status)
        self.install = install


_BY_CODE: dict[str, type[KernelhubError]] = {
    error.default_code: error
    for error in (
        InvalidRequestError,
        AuthenticationError,
        PermissionDeniedError,
        PolicyDeniedError,
        NotFoundError,
        MethodNotAllowedError,
        ConflictError,
        BusyError,
        GoneError,
        PreconditionFailedError,
        TooLargeError,
        UnsupportedMediaTypeError,
        RangeNotSatisfiableError,
        RateLimitedError,
        QuotaExceededError,
        InternalError,
        SandboxFailedError,
        KernelDiedError,
        UnavailableError,
        TimeoutError_,
    )
}

# For a code newer than this package, or a reply that a proxy made.
_BY_STATUS: dict[int, type[KernelhubError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    409: ConflictError,
    410: GoneError,
    412: PreconditionFailedError,
    413: TooLargeError,
    415: UnsupportedMediaTypeError,
    416: RangeNotSatisfiableError,
    429: RateLimitedError,
    500: InternalError,
    503: UnavailableError,
    504: TimeoutError_,
}


def error_from_reply(status: int, headers: Mapping[str, str], body: bytes) -> KernelhubError:
    """The exception for a reply that is not a success. `headers` finds names in any case."""
    try:
        reply = json.loads(body)
    except ValueError:
        reply = None
    error = reply.get("error") if isinstance(reply, dict) else None
    return _error(error, status, headers)


def error_from_record(error: Any) -> KernelhubError:
    """The exception for an error that came in the middle of a stream."""
    return _error(error, None, {})


def _error(error: Any, status: int | None, headers: Mapping[str, str]) -> KernelhubError:
    if not isinstance(error, dict):
        error = {}
    code = error.get("code")
    kind = _BY_CODE.get(str(code)) or _BY_STATUS.get(status or 0, KernelhubError)
    unsaid = f"the service answered HTTP {status}" if status else "the service gave up"
    return kind(
        str(error.get("message") or unsaid),
        status=status,
        code=str(code) if code else None,
        hint=error.get("hint") or None,
        request_id=error.get("request_id") or headers.get("x-request-id"),
        details=error.get("details"),
        retry_after=_seconds(headers.get("retry-after")),
    )


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds. Its other form, a date, is not worth trusting two clocks for."""
    try:
        seconds = float(text) if text else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < 1e9 else None
