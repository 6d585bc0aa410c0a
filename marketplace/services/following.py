"""A job's events as they come, for programs that watch it."""

from collections.abc import Callable, Iterator

from marketplace.domain import Event
from marketplace.services.node import JobFeed, Node


def follow(node: Node, job_id: int, pause: Callable[[], object]) -> Iterator[Event]:
    """All events of a job in order, from its creation until it is over and that is past undoing.

    pause: waits before the next look at the chain. Where the chain takes blocks back, the events that stand in their
    place follow, beginning with the first that is another. Raises NotFound where there is no such job, ChainError.
    """
    feed = JobFeed(node, job_id)
    told: tuple[Event, ...] = ()
    while True:
        over = feed.refresh().state.over
        events = feed.events
        same = next((at for at, (old, new) in enumerate(zip(told, events, strict=False)) if old != new), len(told))
        yield from events[min(same, len(events)) :]
        told = events
        if over and feed.stands(feed.last):
            return
        pause()
