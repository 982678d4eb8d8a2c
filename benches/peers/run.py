#!/usr/bin/env python3
"""Cenote beside packaged peers: what each spends on a query, with the same list, upstream and load, in one run.

    cargo build --release
    benches/peers/run.py [--names 1000000 | --list FILE --allowed FILE] [--only cenote,dnsdist,pdns,unbound] [--rounds 5] [--seconds 5]

Needs dnsperf, knotd (the upstream) and cc; Debian: dnsperf knot dnsdist pdns-recursor unbound. A peer that is not installed is passed over.
Without --list it makes names up, with the shape of real ones. Everything is on loopback; the load is bounded by --seconds.

The server has core 0 and one worker, the load has core 1. CPU is the server's own, all its threads, per completed query; right before each load
the floor (floor.c, a batched UDP echo) is measured the same way, and `x floor` is their ratio: it holds on a noisy machine, microseconds do not.
A forwarder's own floor is about 2: four system calls against two. Loads: listed (uniform over the whole list, the worst case), cached (2,000
names, warm), signed (the same with EDNS and DO), mixed (85 % cached, 10 % listed, 5 % new), forwarded (names asked once). Medians over rounds.
"""
import argparse, os, random, re, shutil, socket, statistics, struct, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
PORT, UPSTREAM, FLOOR = 5454, 5400, 5455
LOADS = ["listed", "cached", "signed", "mixed", "forwarded"]


def made_up(count, seed):
    """Names with the shape of real ones: two to four labels, few suffixes, many syllables."""
    rng = random.Random(seed)
    syllables = [a + b for a in "bcdfghklmnprstvwz" for b in "aeiou"]
    suffixes = ["com"] * 50 + ["net"] * 9 + ["org"] * 7 + ["info", "xyz", "top", "ru", "de", "co.uk", "com.br", "online", "site"]
    names = {}
    while len(names) < count:
        word = "".join(rng.choice(syllables) for _ in range(rng.randint(2, 6))) + rng.choice(["", "", "", str(rng.randrange(1000))])
        host = rng.choice(["", "", "www.", "mail.", "cdn%d." % rng.randrange(50), "a-%x." % rng.getrandbits(32)])
        names[f"{host}{word}.{rng.choice(suffixes)}"] = None
    return list(names)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="peers-")
        self.running = []
        if options.list:
            self.listed, self.allowed = (open(path).read().split() for path in (options.list, options.allowed))
        else:
            self.listed = made_up(options.names, 1)
            self.allowed = [f"ok-{name}" for name in made_up(20_000, 2)]
        self.listed = [name for name in self.listed if len(name) < 230]
        covers = set(self.listed)
        parents = lambda name: (name.split(".", i)[i] for i in range(name.count(".") + 1))
        self.allowed = [name for name in self.allowed if not any(parent in covers for parent in parents(name))]
        self.list_file = write(f"{self.folder}/list.txt", "\n".join(self.listed) + "\n")
        self.write_queries()

    def write_queries(self):
        rng, warm = random.Random(3), self.allowed[:2000]
        listed = [rng.choice(self.listed) for _ in range(200_000)]
        new = lambda i: f"u0-{i}.{self.allowed[i % len(self.allowed)]}"

        def mixed(i):
            x = rng.random()
            return rng.choice(listed) if x < 0.10 else new(i) if x < 0.15 else rng.choice(warm)

        most = 300_000 * self.options.seconds
        queries = {
            "warm": warm,
            "listed": listed,
            "cached": (rng.choice(warm) for _ in range(200_000)),
            "mixed": (mixed(i) for i in range(most)),
            "forwarded": (new(i) for i in range(most)),
        }
        for load, names in queries.items():
            with open(f"{self.folder}/{load}.q", "w") as file:
                file.writelines(f"{name} A\n" for name in names)

    def start(self, command, core):
        log = open(f"{self.folder}/{os.path.basename(command[0])}.log", "w")
        self.running.append(subprocess.Popen(["taskset", "-c", str(core)] + command, stdout=log, stderr=log))
        return self.running[-1]

    def stop(self, process):
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # The servers, each with one worker and the whole list.

    def cenote(self):
        return [self.options.cenote, "serve", "--config", write(f"{self.folder}/cenote.toml", f"""
[server]
listen = ["127.0.0.1:{PORT}"]
workers = 1
[upstream]
servers = ["127.0.0.1:{UPSTREAM}"]
[cache]
size-mb = 256
[[feed]]
name = "list"
source = "{self.list_file}"
[sinkhole]
ipv4 = "192.0.2.1"
[metrics]
listen = ""
[admin]
socket = ""
""")]

    def dnsdist(self):
        return ["dnsdist", "--supervised", "--disable-syslog", "-C", write(f"{self.folder}/dnsdist.conf", f"""
setLocal("127.0.0.1:{PORT}")
newServer({{address="127.0.0.1:{UPSTREAM}", checkInterval=60}})
listed = newSuffixMatchNode()
for name in io.lines("{self.list_file}") do listed:add(newDNSName(name)) end
addAction(SuffixMatchNodeRule(listed, true), SpoofAction({{"192.0.2.1"}}))
getPool(""):setCache(newPacketCache(1000000, {{maxTTL=86400}}))
setMaxUDPOutstanding(65535)
""")]

    def zone(self):
        path = f"{self.folder}/rpz.zone"
        if not os.path.exists(path):
            rows = "".join(f"{name} CNAME .\n*.{name} CNAME .\n" for name in self.listed)
            write(path, "$TTL 300\n@ SOA localhost. root.localhost. 1 3600 600 86400 300\n@ NS localhost.\n" + rows)
        return path

    def pdns(self):
        home = f"{self.folder}/pdns"
        os.makedirs(home, exist_ok=True)
        write(f"{home}/rpz.lua", f'rpzFile("{self.zone()}", {{policyName="list"}})\n')
        write(f"{home}/recursor.conf", "\n".join([
            "local-address=127.0.0.1", f"local-port={PORT}", "threads=1", "pdns-distributes-queries=no", "dnssec=off", "dont-query=",
            f"forward-zones-recurse=.=127.0.0.1:{UPSTREAM}", f"lua-config-file={home}/rpz.lua", f"socket-dir={home}", "daemon=no",
            "quiet=yes", "max-mthreads=8192", "max-cache-entries=2000000", ""]))
        return ["pdns_recursor", f"--config-dir={home}"]

    def unbound(self):
        return ["unbound", "-d", "-c", write(f"{self.folder}/unbound.conf", f"""
server:
  interface: 127.0.0.1
  port: {PORT}
  num-threads: 1
  do-daemonize: no
  use-syslog: no
  username: ""
  chroot: ""
  pidfile: "{self.folder}/unbound.pid"
  do-not-query-localhost: no
  module-config: "respip iterator"
  msg-cache-size: 256m
  rrset-cache-size: 512m
  outgoing-range: 8192
  num-queries-per-thread: 4096
  so-rcvbuf: 4m
rpz:
  name: list
  zonefile: {self.zone()}
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{UPSTREAM}
remote-control:
  control-enable: no
""")]

    # Measuring.

    def ask(self, port, name):
        """"sunk", "upstream" or None: what the server on `port` makes of a name."""
        question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            try:
                sock.connect(("127.0.0.1", port))
                sock.send(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question)
                reply = sock.recv(4096)
            except OSError:
                return None
        if reply[3] & 15 not in (0, 3):
            return None
        return "upstream" if socket.inet_aton("203.0.113.7") in reply else "sunk"

    def wait_for(self, port, name, want, process, seconds):
        start = time.monotonic()
        while time.monotonic() - start < seconds and process.poll() is None:
            if self.ask(port, name) == want:
                return time.monotonic() - start
            time.sleep(0.01)
        log = open(f"{self.folder}/{os.path.basename(process.args[3])}.log").read()[-300:]
        raise RuntimeError(f"no answer within {seconds} s: {log}")

    def load(self, port, load, process, turn):
        """CPU a query in microseconds, lost queries, average latency."""
        flags, file = (["-e", "-D"], "cached") if load == "signed" else ([], load)
        once = ["-n", "1"] if load in ("mixed", "forwarded") else []
        path = f"{self.folder}/turn.q"
        with open(path, "w") as out:
            subprocess.run(["sed", f"s/^u0-/u{turn}-/", f"{self.folder}/{file}.q"], stdout=out, check=True)
        clock = (~process.pid << 3) | 2
        before = time.clock_gettime_ns(clock)
        command = ["taskset", "-c", "1", "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", path, "-l", str(self.options.seconds)]
        out = subprocess.run(command + ["-c", "16", "-q", "150", "-t", "2"] + once + flags, capture_output=True, text=True).stdout
        used = time.clock_gettime_ns(clock) - before
        figure = lambda pattern: float((re.search(pattern, out) or [0, "0"])[1])
        done = figure(r"Queries completed:\s+(\d+)")
        if not done:
            raise RuntimeError(f"answered nothing under {load}")
        return used / 1000 / done, int(figure(r"Queries lost:\s+(\d+)")), figure(r"Average Latency \(s\):\s+([\d.]+)") * 1e6

    def measure(self, peer):
        command = getattr(self, peer)()
        if not shutil.which(command[0]):
            return print(f"{peer:9} not installed")
        process = self.start(command, 0)
        try:
            ready = self.wait_for(PORT, self.listed[len(self.listed) // 2], "sunk", process, 300)
            time.sleep(0.5)
            rss = int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{process.pid}/status").read())[1]) // 1024
            wrong = [n for n in random.Random(4).sample(self.listed, 50) if self.ask(PORT, n) != "sunk"]
            wrong += [n for n in self.allowed[-50:] if self.ask(PORT, n) != "upstream"]
            row = f"{peer:9} {rss:6} {ready:7.2f}"
            for place, load in enumerate(LOADS):
                if load in ("cached", "signed", "mixed"):
                    self.load(PORT, "warm", process, 0)
                rounds = []
                for turn in range(self.options.rounds):
                    floor = self.load(FLOOR, load, self.floor, 0)[0]
                    cpu, lost, latency = self.load(PORT, load, process, place * self.options.rounds + turn + 1)
                    rounds.append((cpu / floor, lost, latency))
                x, lost, latency = (statistics.median(column) for column in zip(*rounds))
                row += f" | {x:9.2f} {latency:6.0f} {lost:4.0f}"
            print(row + (f" | {len(wrong)} wrong answers" if wrong else ""), flush=True)
        finally:
            self.stop(process)

    def run(self):
        subprocess.run(["cc", "-O2", "-o", f"{self.folder}/floor", f"{HERE}/floor.c"], check=True)
        write(f"{self.folder}/root.zone", "$ORIGIN .\n$TTL 3600\n@ SOA a.root. b.root. 1 7200 3600 1209600 3600\n@ NS a.root.\n"
              "*. A 203.0.113.7\na.root. A 127.0.0.1\n")
        config = write(f"{self.folder}/knot.conf", f"server:\n    listen: 127.0.0.1@{UPSTREAM}\n    rundir: {self.folder}\n    udp-workers: 1\n"
                       f"database:\n    storage: {self.folder}\nzone:\n  - domain: .\n    storage: {self.folder}\n    file: root.zone\n"
                       "    dnssec-signing: on\n")
        try:
            upstream = self.start(["knotd", "-c", config], 1)
            self.floor = self.start([f"{self.folder}/floor", str(FLOOR)], 0)
            self.wait_for(UPSTREAM, "ready.test", "upstream", upstream, 20)
            print(f"{len(self.listed):,} names, {self.options.rounds} rounds of {self.options.seconds} s; medians")
            print(f"{'server':9} {'RSS MB':>6} {'ready s':>7}" + "".join(f" | {load:>9} lat us lost" for load in LOADS))
            for peer in self.options.only.split(","):
                try:
                    self.measure(peer)
                except RuntimeError as error:
                    print(f"{peer:9} failed: {error}", flush=True)
        finally:
            for process in reversed(self.running):
                if process.poll() is None:
                    self.stop(process)
            shutil.rmtree(self.folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=1_000_000, help="how many names to make up")
    parser.add_argument("--list", help="listed names, one a line")
    parser.add_argument("--allowed", help="names that the list does not cover, at least 4,000")
    parser.add_argument("--only", default="cenote,dnsdist,pdns,unbound")
    parser.add_argument("--cenote", default=f"{HERE}/../../target/release/cenote")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    if bool(options.list) != bool(options.allowed):
        parser.error("--list and --allowed go together")
    if missing := [tool for tool in ("dnsperf", "knotd", "cc", "taskset") if not shutil.which(tool)]:
        sys.exit(f"not installed: {', '.join(missing)}")
    if unknown := set(options.only.split(",")) - {"cenote", "dnsdist", "pdns", "unbound"}:
        parser.error(f"--only: no {', '.join(sorted(unknown))} here")
    Bench(options).run()
