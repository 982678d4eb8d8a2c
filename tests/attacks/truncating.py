"""What the attacks on TCP to upstreams share: an upstream that truncates, a client with a fixed rate, a Cenote between them.

Nothing here is an attack by itself. Loopback only; every loop ends by a number of seconds that the caller gives. Python 3, no packages.

Upstream    a process on one loopback port. Over UDP it answers every query TC, over TCP with one address ("answer") or never ("hang").
Client      asks names that nobody asked before, so many a second, and counts by second what came: answers, SERVFAILs, nothing in 5 s.
cenote      runs the program with a configuration in a folder of its own until the block ends.
"""

import contextlib
import multiprocessing
import os
import selectors
import socket
import struct
import subprocess
import tempfile
import time

HEADER = struct.Struct("!6H")
LATE_SECS = 5.0
QR_RD_RA, TC = 0x8180, 0x0200


def reply_to(query, truncated):
    """The question again, TC or with one address; EDNS is left out."""
    end = 12
    while query[end]:
        end += 1 + query[end]
    question = query[12:end + 5]
    flags = QR_RD_RA | (TC if truncated else 0)
    head = HEADER.pack(int.from_bytes(query[:2], "big"), flags, 1, 0 if truncated else 1, 0, 0)
    record = b"" if truncated else b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\1"
    return head + question + record


class Upstream:
    """See above. `connections` and `over_tcp` count what came over TCP, `open_most` the most connections that were open at once."""

    def __init__(self, mode):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.udp.bind(("127.0.0.1", 0))
        self.at = self.udp.getsockname()
        self.tcp.bind(self.at)
        self.tcp.listen(4096)
        self.mode = mode
        self.connections, self.over_tcp, self.open_most = (multiprocessing.Value("Q", 0, lock=False) for _ in range(3))
        self.process = multiprocessing.Process(target=self.serve, daemon=True)
        self.process.start()
        self.udp.close()
        self.tcp.close()

    def stop(self):
        self.process.terminate()
        self.process.join()

    def serve(self):
        poll, streams = selectors.EpollSelector(), {}
        for one in (self.udp, self.tcp):
            one.setblocking(False)
            poll.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in poll.select():
                if key.fileobj is self.udp:
                    self.datagrams()
                elif key.fileobj is self.tcp:
                    self.accept(poll, streams)
                else:
                    self.stream(poll, streams, key.fileobj)

    def datagrams(self):
        for _ in range(256):
            try:
                query, peer = self.udp.recvfrom(4096)
            except BlockingIOError:
                return
            self.udp.sendto(reply_to(query, True), peer)

    def accept(self, poll, streams):
        for _ in range(256):
            try:
                stream, _ = self.tcp.accept()
            except (BlockingIOError, OSError):
                return
            stream.setblocking(False)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            streams[stream] = b""
            poll.register(stream, selectors.EVENT_READ)
            self.connections.value += 1
            self.open_most.value = max(self.open_most.value, len(streams))

    def stream(self, poll, streams, stream):
        try:
            octets = stream.recv(65536)
        except OSError:
            octets = b""
        if not octets:
            poll.unregister(stream)
            del streams[stream]
            stream.close()
            return
        held, out = streams[stream] + octets, []
        while len(held) >= 2 and len(held) >= 2 + int.from_bytes(held[:2], "big"):
            length = int.from_bytes(held[:2], "big")
            query, held = held[2:2 + length], held[2 + length:]
            self.over_tcp.value += 1
            if self.mode == "answer":
                reply = reply_to(query, False)
                out.append(len(reply).to_bytes(2, "big") + reply)
        streams[stream] = held
        if out:
            with contextlib.suppress(OSError):
                stream.send(b"".join(out))


class Client:
    """Asks `rate` new names a second from `source`, beginning and ending at the given seconds after `begin`."""

    def __init__(self, at, source, label, rate, seconds, begin):
        self.at, self.source, self.label, self.rate, (self.first, self.last), self.begin = at, source, label, rate, seconds, begin
        self.results, child = multiprocessing.Pipe(False)
        self.process = multiprocessing.Process(target=self.run, args=(child,), daemon=True)
        self.process.start()
        child.close()

    def wait(self):
        """By second: [asked, answered, SERVFAIL, milliseconds of each answer]."""
        by_second = self.results.recv()
        self.process.join()
        return by_second

    def run(self, child):
        sockets = []
        for _ in range(8):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            one.bind((self.source, 0))
            one.connect(self.at)
            one.setblocking(False)
            sockets.append(one)
        poll = selectors.EpollSelector()
        for one in sockets:
            poll.register(one, selectors.EVENT_READ)
        by_second = {second: [0, 0, 0, []] for second in range(self.first, self.last)}
        out, number, count = {}, 0, (self.last - self.first) * self.rate
        start = self.begin + self.first
        while number < count or (out and time.monotonic() < self.begin + self.last + LATE_SECS):
            now = time.monotonic()
            while number < count and start + number / self.rate <= now:
                self.ask(sockets[number % 8], number, out, by_second)
                number += 1
            due = start + number / self.rate - time.monotonic() if number < count else 0.2
            for key, _ in poll.select(max(0.0, min(due, 0.2))):
                self.receive(key.fileobj, out, by_second)
        child.send(by_second)

    def ask(self, one, number, out, by_second):
        label = f"{self.label}{number}".encode()
        query = HEADER.pack(number & 0xffff, 0x0100, 1, 0, 0, 0) + bytes([len(label)]) + label + b"\4test\0\0\1\0\1"
        second = self.first + number // self.rate
        by_second[second][0] += 1
        out[number & 0xffff] = (time.monotonic(), second)
        with contextlib.suppress(OSError):
            one.send(query)

    @staticmethod
    def receive(one, out, by_second):
        while True:
            try:
                reply = one.recv(4096)
            except OSError:
                return
            asked = out.pop(int.from_bytes(reply[:2], "big"), None)
            if asked is None:
                continue
            row = by_second[asked[1]]
            if reply[3] & 15 == 0 and reply[6:8] != b"\0\0":
                row[1] += 1
                row[3].append((time.monotonic() - asked[0]) * 1000)
            elif reply[3] & 15 == 2:
                row[2] += 1


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def cenote(program, upstream, tables=""):
    """Runs it with these servers' ports; gives where it listens and its process id."""
    with tempfile.TemporaryDirectory() as folder:
        at = ("127.0.0.1", free_port())
        with open(os.path.join(folder, "ads"), "w") as feed:
            feed.write("listed.test\n")
        with open(os.path.join(folder, "cenote.toml"), "w") as file:
            file.write(f"[server]\nlisten = ['127.0.0.1:{at[1]}']\n[upstream]\nservers = ['127.0.0.1:{upstream}']\n"
                       f"[metrics]\nlisten = ''\n[admin]\nsocket = ''\n[special-names]\nenabled = false\n"
                       f"[[feed]]\nname = 'ads'\nsource = 'ads'\n{tables}")
        command = [program, "serve", "--config", os.path.join(folder, "cenote.toml")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until_ready(at)
            yield at, process.pid
        finally:
            process.terminate()
            process.wait(20)


def wait_until_ready(at):
    query = HEADER.pack(7, 0x0100, 1, 0, 0, 0) + b"\6listed\4test\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.2)
        one.connect(at)
        for _ in range(100):
            with contextlib.suppress(OSError):
                one.send(query)
                if one.recv(512)[3] & 15 == 0:
                    return
            time.sleep(0.05)
    raise SystemExit("cenote did not start")


def row_of(by_second, seconds):
    """Of the queries asked in these seconds: how many, % answered, % SERVFAIL, milliseconds to the answer at 50 % and 99 %."""
    rows = [by_second[second] for second in range(*seconds) if second in by_second]
    asked, answered, failed = (sum(row[place] for row in rows) for place in range(3))
    times = sorted(time for row in rows for time in row[3])
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")
    of = lambda count: 100 * count / asked if asked else float("nan")
    return f"{asked:7} asked  {of(answered):6.2f} % answered  {of(failed):6.2f} % SERVFAIL  p50 {at(.5):7.1f} ms  p99 {at(.99):7.1f} ms"


def time_wait():
    """Sockets of this host in TIME-WAIT, from /proc/net/sockstat, where `ss -s` has it from."""
    with open("/proc/net/sockstat") as file:
        fields = next(line for line in file if line.startswith("TCP:")).split()
    return int(fields[fields.index("tw") + 1])


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
