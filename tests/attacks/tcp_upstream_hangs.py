"""One tenant's upstream truncates everything over UDP and takes TCP connections that it never answers; another tenant's upstream truncates
too and answers over TCP. Does the second tenant notice?

    python3 tests/attacks/tcp_upstream_hangs.py target/release/cenote [--rate 500]

35 s: the good tenant (127.0.0.1) asks 200 new names a second all the time; the bad one (127.0.0.2) asks --rate a second from second 10
to second 25. Printed are the good tenant's answers before, during and after, and what the bad tenant's upstream saw. Exit code 1 if less
than 99.9 % of the good tenant's queries were answered in any of the three. Loopback only.
"""

import argparse
import time

from truncating import Client, Upstream, cenote, open_files, row_of

TENANT = """[[upstream-group]]
name = 'bad'
servers = ['127.0.0.1:{port}']
[[tenant]]
name = 'bad'
networks = ['127.0.0.2']
upstream-group = 'bad'
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("cenote")
    parser.add_argument("--rate", type=int, default=500)
    options = parser.parse_args()
    good, bad = Upstream("answer"), Upstream("hang")
    with cenote(options.cenote, good.at[1], TENANT.format(port=bad.at[1])) as (at, pid):
        begin = time.monotonic() + 0.5
        ours = Client(at, "127.0.0.1", "good", 200, (0, 35), begin)
        theirs = Client(at, "127.0.0.2", "bad", options.rate, (10, 25), begin)
        most = 0
        while time.monotonic() < begin + 36:
            most = max(most, open_files(pid))
            time.sleep(0.25)
        by_second, flood = ours.wait(), theirs.wait()
    phases = {"before": (0, 10), "during": (10, 25), "after": (25, 35)}
    for phase, seconds in phases.items():
        print(f"good tenant {phase:7} {row_of(by_second, seconds)}")
    print(f"bad tenant          {row_of(flood, (10, 25))}")
    print(f"its upstream: {bad.connections.value} connections, {bad.over_tcp.value} queries over TCP, {bad.open_most.value} open at once")
    print(f"the good one: {good.connections.value} connections, {good.over_tcp.value} queries over TCP, {good.open_most.value} open at once")
    print(f"cenote's descriptors at most: {most}")
    good.stop()
    bad.stop()
    share = [sum(by_second[second][1] for second in range(*seconds)) / sum(by_second[second][0] for second in range(*seconds))
             for seconds in phases.values()]
    raise SystemExit(0 if min(share) >= 0.999 else 1)


if __name__ == "__main__":
    main()
