"""Commands of redis-py's blocking client: HOST PORT. What was answered, as a line of JSON."""

from __future__ import annotations

import hashlib
import json
import sys
import threading

import redis

LARGE = bytes(range(256)) * 40_000


def main(host: str, port: int) -> None:
    with redis.Redis(host=host, port=port, socket_timeout=30) as client:
        client.flushall()
        told: dict[str, object] = {"ping": client.ping()}
        client.set("large", LARGE)
        value = client.get("large")
        assert isinstance(value, bytes)
        told["large"] = hashlib.sha256(value).hexdigest() == hashlib.sha256(LARGE).hexdigest()
        with client.pipeline(transaction=False) as pipeline:
            for number in range(1000):
                pipeline.set(f"key {number}", number)
                pipeline.get(f"key {number}")
            told["pipelined"] = pipeline.execute()[1::2] == [str(number).encode() for number in range(1000)]
        # A list that one thread waits for and another fills.
        popped: list[object] = []
        waiting = threading.Thread(target=lambda: popped.append(client.blpop(["list"], timeout=20)))
        waiting.start()
        while not client.info("clients")["blocked_clients"]:
            pass
        client.rpush("list", "pushed")
        waiting.join()
        told["popped"] = popped == [(b"list", b"pushed")]
        # A subscriber that nobody tells anything, and then somebody does.
        with client.pubsub(ignore_subscribe_messages=True) as subscriber:
            subscriber.subscribe("channel")
            while client.publish("channel", "word") == 0:
                pass
            heard = None
            while heard is None:
                heard = subscriber.get_message(timeout=20)
            told["heard"] = heard["data"] == b"word"
        try:
            client.execute_command("NONSENSE")
        except redis.ResponseError as error:
            told["error"] = "unknown command" in str(error)
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
