"""An upstream truncates everything over UDP and answers over TCP: 1,000 new names a second for 70 s, longer than a closed connection keeps
its port (TIME-WAIT is 60 s). Do the ports last?

    python3 tests/attacks/tcp_truncated_flood.py target/release/cenote [--rate 1000] [--seconds 70]

Printed are the answers in each ten seconds, the connections the upstream saw, and the host's sockets in TIME-WAIT. Exit code 1 if less
than 99.9 % were answered in any ten seconds. Loopback only; of loopback connections Linux takes a port in TIME-WAIT again after one
second (net.ipv4.tcp_tw_reuse = 2), which a real upstream's are not granted.
"""

import argparse
import time

from truncating import Client, Upstream, cenote, open_files, row_of, time_wait


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("cenote")
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=70)
    options = parser.parse_args()
    upstream = Upstream("answer")
    with cenote(options.cenote, upstream.at[1]) as (at, pid):
        begin, idle = time.monotonic() + 0.5, time_wait()
        client = Client(at, "127.0.0.1", "name", options.rate, (0, options.seconds), begin)
        most, descriptors = 0, 0
        while time.monotonic() < begin + options.seconds + 1:
            most, descriptors = max(most, time_wait()), max(descriptors, open_files(pid))
            time.sleep(0.5)
        by_second = client.wait()
    worst = 1.0
    for first in range(0, options.seconds, 10):
        seconds = (first, min(first + 10, options.seconds))
        print(f"seconds {first:3} to {seconds[1]:3} {row_of(by_second, seconds)}")
        asked, answered = (sum(by_second[second][place] for second in range(*seconds)) for place in (0, 1))
        worst = min(worst, answered / asked)
    print(f"upstream: {upstream.connections.value} connections, {upstream.over_tcp.value} queries over TCP, "
          f"{upstream.open_most.value} open at once; TIME-WAIT {idle} before, {most} at most; cenote's descriptors at most: {descriptors}")
    upstream.stop()
    raise SystemExit(0 if worst >= 0.999 else 1)


if __name__ == "__main__":
    main()
