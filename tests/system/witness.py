# SPDX-License-Identifier: Apache-2.0
"""A client that notes who answered it, and when: a request every few milliseconds, each on a connection of its own, whatever became
of those before it. Times are time.monotonic(), the clock of holdfastd's events."""
import asyncio
import re
import threading
import time


class Seen:
    """One request: when it was made, when it ended, the release that answered; or why none did."""

    def __init__(self, sent, answered, release, failure):
        self.sent, self.answered, self.release, self.failure = sent, answered, release, failure

    def __repr__(self):
        return "%.3f %s" % (self.sent, self.release or self.failure)


class Witness:
    def __init__(self, port, interval=0.004, timeout=10):
        self.port, self.interval, self.timeout = port, interval, timeout
        self.seen = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()), daemon=True)
        self.thread.start()

    def finish(self):
        """No more requests; every one that was made is answered, or has failed. In the order in which they were made."""
        self.ended.set()
        self.thread.join()
        return sorted(self.seen, key=lambda one: one.sent)

    async def run(self):
        tasks, due = set(), time.monotonic()
        while not self.ended.is_set():
            task = asyncio.ensure_future(self.ask())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due = max(due + self.interval, time.monotonic())  # late is late: no burst afterwards
            await asyncio.sleep(due - time.monotonic())
        await asyncio.gather(*tasks)

    async def ask(self):
        sent = time.monotonic()
        try:
            release, failure = await asyncio.wait_for(self.request(), self.timeout), None
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            release, failure = None, type(error).__name__
        self.seen.append(Seen(sent, time.monotonic(), release, failure))

    async def request(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            answer = (await reader.read()).decode()
        finally:
            writer.close()
        found = re.search(r"release=(\S+)", answer)
        if not found:
            raise ValueError("no answer")
        return found[1]


def last_of(seen, release):
    """When the last request was made that this release answered, or that nobody did; None when it had none."""
    return max((one.sent for one in seen if one.release in (release, None)), default=None)
