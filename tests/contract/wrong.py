"""Reads the rows of tests/contract/wrong/*.txt, and sends them."""
import ast
import glob
import http.client
import itertools
import json
import os
import re
import socket

HERE = os.path.dirname(os.path.abspath(__file__))


class Row:
    """One wrong request, and what it must come to."""

    def __init__(self, name, place):
        self.name, self.place = name, place
        self.application, self.raw, self.length, self.signed, self.chunked = "owner", False, True, False, False
        self.token = None  # a bearer token of the row's own
        self.method = self.target = self.code = self.cause = None
        self.headers, self.body, self.status, self.host = [], b"", None, True


def cbor(value):
    """RFC 8949 of what a row writes as a Python literal."""
    def head(kind, number):
        if number < 24:
            return bytes([kind << 5 | number])
        width = next(width for width in (1, 2, 4, 8) if number < 1 << 8 * width)
        return bytes([kind << 5 | 24 + (1, 2, 4, 8).index(width)]) + number.to_bytes(width, "big")
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(cbor(each) for each in value)
    return head(5, len(value)) + b"".join(cbor(key) + cbor(each) for key, each in value.items())


def uncbor(data):
    """The items of a sequence of what our results are made of: maps, numbers, texts and bytes, none of them endless."""
    def item(at):
        kind, number = data[at] >> 5, data[at] & 31
        at += 1
        if number > 23:
            width = 1 << number - 24
            number, at = int.from_bytes(data[at:at + width], "big"), at + width
        if kind == 5:
            made = {}
            for _ in range(number):
                name, at = item(at)
                made[name], at = item(at)
            return made, at
        if kind in (2, 3):
            return data[at:at + number], at + number
        return number, at
    found, at = [], 0
    while at < len(data):
        one, at = item(at)
        found.append(one)
    return found


def results_of(body):
    """"a, b x1000": the codes of a batch's results, in order; and what they say, a line each."""
    results = uncbor(body)
    groups = [(code, len(list(group))) for code, group in itertools.groupby(each.get(5, b"none").decode() for each in results)]
    return (", ".join(code if count == 1 else f"{code} x{count}" for code, count in groups),
            "\n".join(each.get(6, b"").decode() for each in results))


def body_line(line):
    """What a line that begins with | adds to the body."""
    word, _, rest = line[1:].partition(" ")
    if word == "hex":
        return bytes.fromhex(rest)
    if word == "hexes":
        count, text = rest.split(" ", 1)
        return bytes.fromhex(text) * int(count)
    if word == "repeat":
        count, text = rest.split(" ", 1)
        return text.encode() * int(count)
    if word == "cbor":
        return cbor(ast.literal_eval(rest))
    return line[1:].encode() + b"\n"


def token_of(line):
    """BY HEADER CLAIMS: what they have beside what a good one has; null: without that member; "exp+": from now on."""
    by, rest = line.split(" ", 1)
    header, end = json.JSONDecoder().raw_decode(rest)
    return by, header, json.loads(rest[end:])


def read_rows(name):
    rows, row = [], None
    with open(name, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            place = f"{os.path.basename(name)}:{number}"
            if line.startswith("# "):
                row = Row(line[2:], place)
                rows.append(row)
            elif not line or line.startswith("##"):
                row = None if not line else row
            elif row is None:
                raise ValueError(f"{place}: not within a row: {line}")
            elif line.startswith("@as "):
                row.application = line[4:]
            elif line == "@raw":
                row.raw = True
            elif line == "@no-host":
                row.host = False
            elif line == "@signed":
                row.signed = True
            elif line.startswith("@signed "):
                row.signed = line[8:]
            elif line.startswith("@token "):
                row.token = line[7:]
            elif line == "@chunked":
                row.chunked = True
            elif line == "@no-length":
                row.length = False
            elif line.startswith("= "):
                status, row.code = line[2:].split(" ", 1)
                row.status = int(status)
            elif line.startswith("~ "):
                row.cause = line[2:]
            elif line.startswith("|"):
                row.body += body_line(line)
            elif row.target is None and not row.raw:
                row.method, row.target = line.split(" ", 1)
            else:
                row.headers.append(line)
    for row in rows:
        if row.body.endswith(b"\n") and not row.raw:
            row.body = row.body[:-1]
        if row.status is None:
            raise ValueError(f"{row.place}: {row.name}: nothing is expected")
    return rows


def all_rows():
    rows = [row for name in sorted(glob.glob(HERE + "/wrong/*.txt")) for row in read_rows(name)]
    names = [row.name for row in rows]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"rows of the same name: {sorted(twice)}")
    return rows


def fill(text, names):
    """{name} stands for what the fixture calls so; other braces stand for themselves."""
    return re.sub(r"\{([a-zA-Z_0-9]+)\}", lambda found: names.get(found[1], found[0]), text)


def request_bytes(row, fixture):
    names, host = fixture.names, f"{fixture.address[0]}:{fixture.address[1]}"
    if row.raw:
        lines = [fill(line, names) for line in row.headers]
        if row.host and not any(line.lower().startswith("host:") for line in lines):
            lines.insert(1, f"Host: {host}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + fill(row.body.decode("latin-1"),
                                                                          names).encode("latin-1")
    body = row.body
    if b"{" in body and len(body) < 100000:
        body = fill(body.decode("utf-8", "surrogateescape"), names).encode("utf-8", "surrogateescape")
    given = {line.split(":", 1)[0].lower() for line in row.headers}
    lines = [f"{row.method} {fill(row.target, names)} HTTP/1.1", *[fill(line, names) for line in row.headers]]
    if "host" not in given:
        lines.insert(1, f"Host: {host}")
    if "authorization" not in given and (authorization := fixture.authorization(row)):
        lines.append(f"Authorization: {authorization}")
    if row.chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    elif row.length and not given & {"content-length", "transfer-encoding"} and (body or row.method in ("POST", "PUT",
                                                                                                     "PATCH")):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def send(row, fixture, seconds=30):
    """Status, headers and body of the answer."""
    with socket.create_connection(fixture.address, timeout=seconds) as connection:
        try:
            connection.sendall(request_bytes(row, fixture))
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the body's end: the answer is there all the same
        response = http.client.HTTPResponse(connection, method=row.method or "GET")
        response.begin()
        return response.status, response.headers, response.read()
