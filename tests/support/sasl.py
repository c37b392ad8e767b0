"""Kafka's SASL_SSL, byte by byte: what a broker answers to a token, also to one that no client would show it."""
import socket
import ssl
import struct

METADATA, HANDSHAKE, AUTHENTICATE = 3, 17, 36
CLIENT = b"test"


def connect(port, ca, certificate=None):
    """A TLS connection to 127.0.0.1; certificate: a file with a key and its certificate, to be shown."""
    context = ssl.create_default_context(cafile=ca)
    if certificate:
        context.load_cert_chain(certificate)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30), server_hostname="127.0.0.1")


def call(connection, api, body):
    """Version 1 of a call; returns what follows the correlation id."""
    message = struct.pack(">hhih", api, 1, 7, len(CLIENT)) + CLIENT + body
    connection.sendall(struct.pack(">i", len(message)) + message)
    with connection.makefile("rb") as answers:
        size = answers.read(4)
        if len(size) < 4:
            raise ConnectionResetError("the broker closed the connection")
        return answers.read(struct.unpack(">i", size)[0])[4:]


def authenticate(connection, data):
    """(error code, its text, the broker's bytes, for how many ms it holds)."""
    answer = call(connection, AUTHENTICATE, struct.pack(">i", len(data)) + data)
    code, size = struct.unpack_from(">hh", answer)
    at = 4 + max(size, 0)
    length, = struct.unpack_from(">i", answer, at)
    lifetime, = struct.unpack_from(">q", answer, at + 4 + length)
    return code, answer[4:at].decode(), answer[at + 4:at + 4 + length], lifetime


def login(connection, token):
    """None and for how many ms the token holds, or why it is refused and 0."""
    name = b"OAUTHBEARER"
    code, = struct.unpack_from(">h", call(connection, HANDSHAKE, struct.pack(">h", len(name)) + name))
    if code:
        raise AssertionError(f"the broker does not take OAUTHBEARER: {code}")
    code, text, said, lifetime = authenticate(connection, b"n,,\x01auth=Bearer " + token.encode() + b"\x01\x01")
    if code or not said:
        return (text, 0) if code else (None, lifetime)
    code, text, _, _ = authenticate(connection, b"\x01")  # it has said no; this asks it to say so as an error
    if not code:
        raise AssertionError(f"the broker said {said}, and then yes")
    return text, 0


def show(port, ca, token):
    with connect(port, ca) as connection:
        return login(connection, token)


def topics(port, ca, token):
    """Those that the token's subject sees."""
    with connect(port, ca) as connection:
        refused, _ = login(connection, token)
        if refused:
            raise AssertionError(refused)
        answer = call(connection, METADATA, struct.pack(">i", -1))
    at, found = 4, []
    for _ in range(struct.unpack_from(">i", answer)[0]):  # brokers: id, host, port, rack
        at += 4
        at += 2 + struct.unpack_from(">h", answer, at)[0] + 4
        at += 2 + max(struct.unpack_from(">h", answer, at)[0], 0)
    at += 4  # the controller
    count, = struct.unpack_from(">i", answer, at)
    at += 4
    for _ in range(count):  # error, name, internal, partitions: error, number, leader, replicas, in-sync replicas
        size, = struct.unpack_from(">h", answer, at + 2)
        found.append(answer[at + 4:at + 4 + size].decode())
        at += 4 + size + 1
        partitions, = struct.unpack_from(">i", answer, at)
        at += 4
        for _ in range(partitions):
            at += 10
            for _ in range(2):
                at += 4 + 4 * struct.unpack_from(">i", answer, at)[0]
    return found
