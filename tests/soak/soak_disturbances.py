"""What goes on beside the load: files are replaced and read again, and metrics are asked for, by
those who know how and by those who do not."""

import random
import signal
import socket
import threading
import time
import urllib.request

from exposition import scrape

RELOADS = 100  # at most, in a run; each of so many has a file that cannot be used
BROKEN_EVERY = 5
ROTATE_EVERY = 3
SCRAPES_APART_S = 2
LINGERERS = 8  # that say little to --metrics, of all wraps together; each has room for 16
STRANGE = (b"", b"GET /metrics HT", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /" + b"x" * 10_000,
           b"POST /metrics HTTP/1.1\r\nContent-Length: 99\r\n\r\n")


class Disturbance:
    """A thread that takes one turn after the other until it is stopped."""

    def __init__(self, soak, interval):
        self._soak, self._interval = soak, interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(self._interval):
            try:
                self.turn()
            except Exception as error:  # whatever it is, it is a problem of the run
                self._soak.complain(f"{type(self).__name__}: {type(error).__name__}: {error}")

    def stop(self):
        self._stop.set()
        self._thread.join(self._soak.patience)
        if self._thread.is_alive():
            self._soak.complain(f"{type(self).__name__}: stuck")
        self.left_behind()

    def turn(self):
        raise NotImplementedError

    def left_behind(self):
        """What a turn may leave, and the end takes away."""


class Reloads(Disturbance):
    """SIGHUP for all at once; `done` counts them over all phases, by what has come of them."""

    def __init__(self, soak, done):
        self._done = done
        super().__init__(soak, max(1.0, soak.arguments.seconds / RELOADS))

    def turn(self):
        files, wraps = self._soak.site.files, self._soak.site.wraps
        index = sum(self._done.values())
        if index % ROTATE_EVERY == 0:
            files.rotate_tickets()
        files.install(index)
        is_broken = index % BROKEN_EVERY == BROKEN_EVERY - 1
        concerned = files.break_one(index // BROKEN_EVERY) if is_broken else ()
        before = {route: len(wrap.records("reload")) for route, wrap in wraps.items()}
        for wrap in wraps.values():
            wrap.send_signal(signal.SIGHUP)
        self._done["failed" if is_broken else "ok"] += 1
        for route, wrap in wraps.items():
            lines = wrap.wait_for_event("reload", before[route] + 1, self._soak.patience)
            level = lines[before[route]]["level"]
            if level != ("error" if route in concerned else "info"):
                self._soak.complain(f"reload {index} of {route}: {lines[before[route]]}")


class Scrapes(Disturbance):
    """What counts never counts less than before, and who says nothing keeps nobody waiting."""

    def __init__(self, soak):
        self._rng = random.Random(soak.arguments.seed)
        self._seen = {}
        self._lingering = []
        self.count = self.at_once = 0
        super().__init__(soak, SCRAPES_APART_S)

    def turn(self):
        open_now = 0
        for route, wrap in self._soak.site.wraps.items():
            address = wrap.records("metrics")[0]["address"]
            self._linger(address)
            page = scrape(address, self._soak.patience)
            self.count += 1
            open_now += int(page.of("connections"))
            counts = {(name, *key): value for name, family in page.families.items()
                      if family.kind == "counter" for key, value in family.samples.items()}
            for key, value in self._seen.get(route, {}).items():
                if counts.get(key, 0) < value:
                    self._soak.complain(f"{route}: {key} was {value} and is {counts.get(key)}")
            self._seen[route] = counts
            with urllib.request.urlopen(f"http://{address}/health",
                                        timeout=self._soak.patience) as answer:
                if answer.read() != b"ok\n":
                    self._soak.complain(f"{route}: /health is not ok")
        self.at_once = max(self.at_once, open_now)

    def _linger(self, address):
        host, port = address.rsplit(":", 1)
        sock = socket.create_connection((host, int(port)), self._soak.patience)
        self._lingering.append(sock)
        try:
            sock.sendall(self._rng.choice(STRANGE))
        except ConnectionError:
            pass  # answered, and closed, before it was all there
        while len(self._lingering) > LINGERERS:
            self._lingering.pop(0).close()

    def left_behind(self):
        for sock in self._lingering:
            sock.close()
        time.sleep(0.1)
