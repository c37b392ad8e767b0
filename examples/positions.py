#!/usr/bin/env python3
"""Really recorded positions as messages, for quickstart and for trying things out.

    positions.py make WHEEL FILE [--records N]
        Writes positions of aircraft to FILE, one a line in the order in which they were recorded: the
        aircraft's address (icao24), a tab, and the position as JSON. `streamlayer produce --key-delimiter '\\t'`
        takes it as it is. WHEEL is the package `traffic` of PyPI (MIT licence), which carries recordings of the
        OpenSky Network under traffic/data/samples; nothing of it is run or installed.

    positions.py compare SENT RECEIVED
        Compares two such files key by key: the same records, each once, and of each key in the same order.
        Prints "RECEIVED LOST DUPLICATED OUT-OF-ORDER" and ends with 1 where they differ.

    positions.py counters URL HRN
        The gateway's own counters, from URL/metrics: messages in and out, of all layers of the catalog.

Needs nothing but Python's standard library.
"""

import argparse
import collections
import gzip
import json
import re
import sys
import urllib.request
import zipfile

RECORDING = "traffic/data/samples/collections/quickstart.json.gz"


def make(arguments):
    with zipfile.ZipFile(arguments.wheel) as wheel, wheel.open(RECORDING) as packed:
        positions = json.load(gzip.open(packed))
    # The recording is sorted by aircraft; on the air they came mixed.
    positions.sort(key=lambda position: position["timestamp"])
    aircraft = set()
    with open(arguments.file, "w", encoding="utf-8", newline="\n") as out:
        for position in positions[: arguments.records]:
            aircraft.add(position["icao24"])
            out.write(position["icao24"] + "\t" + json.dumps(position, separators=(",", ":")) + "\n")
    count = min(len(positions), arguments.records or len(positions))
    print(f"{count} positions of {len(aircraft)} aircraft")


def read(path):
    """The records of each key, in order."""
    records = collections.defaultdict(list)
    with open(path, "rb") as lines:
        for line in lines:
            key, _, payload = line.rstrip(b"\n").partition(b"\t")
            records[key].append(payload)
    return records


def compare(arguments):
    sent, received = read(arguments.sent), read(arguments.received)
    lost = duplicated = disordered = 0
    for key in sent.keys() | received.keys():
        wanted, got = sent.get(key, []), received.get(key, [])
        if wanted == got:
            continue
        wanted_counts, got_counts = collections.Counter(wanted), collections.Counter(got)
        missing = sum((wanted_counts - got_counts).values())
        extra = sum((got_counts - wanted_counts).values())
        lost += missing
        duplicated += extra
        if not missing and not extra:
            disordered += sum(a != b for a, b in zip(wanted, got))
    print(sum(map(len, received.values())), lost, duplicated, disordered)
    return 1 if lost or duplicated or disordered else 0


def counters(arguments):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    text = opener.open(arguments.url + "/metrics", timeout=10).read().decode()
    sums = {"in": 0, "out": 0}
    for name, labels, value in re.findall(r"^streamlayer_messages_(in|out)_total\{(.*)\} (\S+)", text, re.M):
        if f'catalog="{arguments.catalog}"' in labels.split(","):
            sums[name] += int(float(value))
    print(sums["in"], sums["out"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make")
    command.add_argument("wheel")
    command.add_argument("file")
    command.add_argument("--records", type=int, help="at most so many (default: all)")
    command.set_defaults(run=make)
    command = commands.add_parser("compare")
    command.add_argument("sent")
    command.add_argument("received")
    command.set_defaults(run=compare)
    command = commands.add_parser("counters")
    command.add_argument("url")
    command.add_argument("catalog")
    command.set_defaults(run=counters)
    arguments = parser.parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
