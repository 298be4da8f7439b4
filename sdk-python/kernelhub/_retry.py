"""When to try again, and after how long. Pure: the caller sleeps."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .errors import (
    ConnectionError_,
    KernelhubError,
    QuotaExceededError,
    RateLimitedError,
    TimeoutError_,
    UnavailableError,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How patient a client is.

    retries          how often a request is repeated
    reconnects       how often in a row a broken stream of events is taken up again in vain
    first_delay      seconds before the first repetition; doubles with each
    max_delay        seconds, the longest pause we choose ourselves
    max_retry_after  seconds, the longest pause we let the service choose
    """

    retries: int = 5
    reconnects: int = 10
    first_delay: float = 0.2
    max_delay: float = 5.0
    max_retry_after: float = 30.0

    def delay(self, attempt: int) -> float:
        """Seconds before repetition `attempt` (from 1): exponential, with jitter."""
        longest = min(self.max_delay, self.first_delay * 2.0 ** min(attempt - 1, 30))
        return longest * random.uniform(0.5, 1.0)


class Attempts:
    """Counts what failed in one piece of work and says how long to wait, or that it is enough."""

    def __init__(self, policy: RetryPolicy, limit: int) -> None:
        self._policy = policy
        self._count = 0
        self._timeouts = 0
        self.limit = limit

    def reset(self) -> None:
        self._count = 0
        self._timeouts = 0

    def failed(self, error: KernelhubError) -> float:
        """Seconds to wait before the next try; raises `error` when there shall be none."""
        self._count += 1
        self._timeouts += is_own_timeout(error)
        # A service that says nothing for the whole of a read timeout is asked just once more.
        if self._count > self.limit or self._timeouts > 1:
            raise error
        delay = self._policy.delay(self._count)
        if error.retry_after is None:
            return delay
        if error.retry_after > self._policy.max_retry_after:
            raise error
        return max(error.retry_after, delay)


def is_own_timeout(error: KernelhubError) -> bool:
    """Whether our own waiting ended, as opposed to a `timeout` that the service reports."""
    return isinstance(error, TimeoutError_) and error.status is None


def may_retry(error: KernelhubError, safe: bool, undone: bool = False) -> bool:
    """Whether the request may be sent again.

    safe    doing it twice is the same as once
    undone  `unavailable` says that nothing was done
    """
    if isinstance(error, ConnectionError_) and not error.sent:
        return True
    if undone and isinstance(error, UnavailableError):
        return True
    if not safe:
        return False
    if isinstance(error, QuotaExceededError):
        return error.retry_after is not None
    if isinstance(error, (UnavailableError, RateLimitedError, ConnectionError_)):
        return True
    return is_own_timeout(error)
