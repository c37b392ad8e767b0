#!/usr/bin/env python3
"""hello.c in Python: produces one message to a stream layer and consumes one. Usage: hello.py HRN LAYER"""
import sys

import streamlayer


def main(hrn, layer):
    with streamlayer.Client() as client, client.consumer(hrn, layer) as consumer:
        with client.producer(hrn, layer) as producer:
            sent = producer.send(b"52.52,13.40", partition_id="car-7", headers=[("kind", b"position")])
            sent.result(timeout=30)  # raises where it was not delivered
        received = consumer.poll(timeout_ms=30000, max_messages=1)
        if not received:
            sys.exit("nothing was received within 30 s: another member of the group has it")
        for message in received:
            print(message.partition_id, message.payload.decode(), dict(message.headers).get("kind", b"").decode())
        consumer.commit()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(sys.argv[1], sys.argv[2])
    except streamlayer.Error as error:
        sys.exit(str(error))
