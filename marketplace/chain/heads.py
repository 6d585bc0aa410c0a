"""New blocks as they come, where a node tells of them: eth_subscribe over a websocket at the RPC's own address.

Most nodes answer both at one address (Anvil and Ganache always do). One that does not is asked again with growing
pauses, and whoever waits looks by its own clock meanwhile. What is told is only that there is something to look at:
nothing of it is read, so a node that tells wrongly costs a look.
"""

import logging
import threading
import time

PAUSES = (1.0, 600.0)  # seconds until a node that does not tell is asked again: at first, and at most
MAX_MESSAGE = 2**20  # bytes
SLICE = 0.25  # seconds after which one who waits sees that it is to stop
_SUBSCRIBE = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'

log = logging.getLogger("merit.chain")


class Heads:
    """Tells of new blocks to any number of threads, from the first call of `listen` on.

    url: the RPC's, http:// or https://. timeout: seconds for the node to answer.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._url = "ws" + url.removeprefix("http")
        self._timeout = timeout
        self._changed = threading.Condition()
        self._count = 0
        self._thread: threading.Thread | None = None

    def listen(self) -> None:
        """Begins to listen, in a thread that ends with the process."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heads", daemon=True)
                self._thread.start()

    @property
    def count(self) -> int:
        """How many blocks were told of: what `wait` is given to know of those since."""
        with self._changed:
            return self._count

    def wait(self, since: int, seconds: float, stop: threading.Event | None = None) -> bool:
        """Waits until a block was told of since `count` was `since`, or for so many seconds, or until `stop` is set.

        Whether there was such a block.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while self._count == since and not (stop is not None and stop.is_set()):
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left if stop is None else min(left, SLICE))
            return self._count != since

    def _run(self) -> None:
        pause, most = PAUSES
        while True:
            begun = time.monotonic()
            try:
                self._hear()
            except Exception as error:  # noqa: BLE001 (whatever the other end, or what is in between, does)
                log.debug("no blocks are told of: %s", type(error).__name__)
            lasted = time.monotonic() - begun
            pause = PAUSES[0] if lasted > pause else min(2 * pause, most)
            time.sleep(pause)

    def _hear(self) -> None:
        from websockets.sync.client import connect  # noqa: PLC0415 (only who listens needs it)

        with connect(
            self._url, open_timeout=self._timeout, max_size=MAX_MESSAGE, max_queue=16, compression=None
        ) as socket:
            socket.send(_SUBSCRIBE)
            for _ in socket:
                with self._changed:
                    self._count += 1
                    self._changed.notify_all()
