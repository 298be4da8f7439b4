"""Where a reader stands in a feed of events, through any number of connections.

Pure: the transport opens `request()`, hands in bytes and losses with the time, sleeps when told.
Events leave in order, each once: what was seen is dropped, a hole makes the reader ask again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from . import _requests
from ._requests import Request
from ._retry import Attempts, RetryPolicy, is_own_timeout, may_retry
from ._sse import SseParser
from .errors import (
    ConnectionError_,
    GoneError,
    KernelhubError,
    NotFoundError,
    ProtocolError,
    TimeoutError_,
    error_from_reply,
)
from .event import Event

STEADY_SECONDS = 5.0  # a connection that lived that long was a good one
UNSTORED = frozenset({"ping", "resource"})  # live samples without a number


class EventCursor:
    """A place in one feed.

    feed      path of the feed
    after     number of the last event that is known already
    first     the POST that starts the run; repeated until an event has come, then `feed` is read
    patience  seconds in which `first` may keep silent, queued as it may be
    deadline  time at which to give up, as given to the other methods
    endless   a session's feed: no `finished` ends it, the end of the session does
    """

    def __init__(
        self,
        feed: str,
        policy: RetryPolicy,
        *,
        after: int = 0,
        first: Request | None = None,
        patience: float = 0.0,
        deadline: float | None = None,
        endless: bool = False,
    ) -> None:
        self._feed = feed
        self._first = first
        self._patience = patience
        self._patient_until = deadline
        self._deadline = deadline
        self._endless = endless
        self._seq = after
        self._policy = policy
        self._attempts = Attempts(policy, policy.retries)
        self._parser = SseParser()
        self._opened_at: float | None = None
        self._alive = False  # whether this connection brought anything
        self._ever_opened = False
        self.done = False
        self.broken = False  # this connection is of no more use

    def request(self, now: float) -> Request:
        """What to open now. Raises TimeoutError_ behind the deadline."""
        self.check(now)
        self._parser = SseParser()
        self._opened_at = None
        self._alive = False
        self.broken = False
        if self._first is not None:
            if self._patient_until is None:
                self._patient_until = now + self._patience
            return self._first
        seconds = _requests.STREAM_SILENCE_SECONDS
        if self._deadline is not None:
            # A read that blocks looks at no clock: so short ones, shorter as the end comes near.
            seconds = min(max((self._deadline - now) / 4, 0.25), 5.0)
        return _requests.events_follow(self._feed, self._seq, seconds)

    def check(self, now: float) -> None:
        if self._deadline is not None and now >= self._deadline:
            raise TimeoutError_(
                "the run has not ended in the time given to wait for it",
                hint="it runs on; wait again, or interrupt it",
            )

    def opened(self, headers: Mapping[str, str], now: float) -> None:
        """The service answered 200."""
        kind = headers.get("content-type", "")
        if not kind.lower().startswith(_requests.SSE):
            raise ProtocolError(f"asked for {_requests.SSE}, the service sent {kind!r}")
        self._opened_at = now
        self._ever_opened = True
        self._attempts.limit = self._policy.reconnects

    def refused(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> KernelhubError | None:
        """The service answered something else: the error to hand to lost(), None at the end."""
        error = error_from_reply(status, headers, body)
        ended = self._endless and self._ever_opened
        if status == 204 or (ended and isinstance(error, (NotFoundError, GoneError))):
            self.done = True
            return None
        return error

    def fed(self, chunk: bytes, now: float) -> list[Event]:
        """The events that these bytes complete."""
        self._alive = True
        events: list[Event] = []
        for message in self._parser.feed(chunk):
            event = _decode(message.data)
            if event.type in UNSTORED or event.seq <= self._seq:
                continue
            if not self._endless and event.seq != self._seq + 1:
                self.broken = True
                break
            self._seq = event.seq
            self._first = None
            self._attempts.reset()
            events.append(event)
            if event.type == "finished" and not self._endless:
                self.done = True
                break
        if not self.done:
            self.check(now)
        return events

    def lost(self, error: KernelhubError | None, now: float) -> float:
        """The connection ended before the feed did. Seconds to wait; raises when it is enough."""
        if error is None and self.broken:
            error = ProtocolError(f"the feed has a hole behind event {self._seq}")
        elif error is None:
            error = ConnectionError_("the stream of events ended before the run did")
        elif not may_retry(error, safe=True):
            raise error
        if self._opened_at is not None and self._alive and now - self._opened_at >= STEADY_SECONDS:
            self._attempts.reset()
        if is_own_timeout(error) and self._patient_until is not None and now < self._patient_until:
            return 0.0
        delay = self._attempts.failed(error)
        return delay if self._deadline is None else max(0.0, min(delay, self._deadline - now))


def _decode(data: str) -> Event:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise ProtocolError(f"an event that is no JSON: {data[:80]!r}") from error
    if not isinstance(raw, dict):
        raise ProtocolError(f"an event that is no object: {data[:80]!r}")
    return Event.from_json(raw)
