"""A crowd at the pages: so many requests come each second, whether or not those before them were answered.

`python -m benchmarks.crowd PORT RATE SECONDS JOINING PAGE…` prints how long each kind took, as JSON; JOINING of a hundred visitors
fill in the form, the others open one page after another. Each comes on a connection of their own, as a browser that was never here.
"""

import asyncio
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from urllib.parse import urlencode

TONGUES = ("en-GB", "fa-IR", "ar", "de-DE", "tr", "fr-FR", "ku")


async def visit(port: int, head: str, tongues: str, body: bytes = b"") -> tuple[int, float]:
    """Return the status of the answer and after how many seconds it was there, from the attempt to connect."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n".encode())
    writer.write(f"accept-language: {tongues}\r\n".encode())
    if body:
        writer.write(f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n".encode())
    writer.write(b"\r\n" + body)
    answer = await reader.read(-1)
    writer.close()
    return int(answer.split(b" ", 2)[1]), time.monotonic() - began


async def come(port: int, rate: float, seconds: float, joining: int, pages: Sequence[str]) -> dict[str, list[float]]:
    """Let them come, and return how long each visit took by its kind; anything but a good answer counts as "failed"."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    places, tongues = cycle(pages), cycle(f"{one},en;q=0.{rest}" for one in TONGUES for rest in range(2, 9))

    async def one(number: int) -> None:
        joins = number % 100 < joining
        form = urlencode({"email": f"visitor{number}-{time.time_ns()}@example.org", "name": "Ann", "digest": "weekly"})
        # Every third comes from a network that hangs its mark on each link.
        place = f"{next(places)}?fbclid={time.time_ns()}" if number % 3 == 0 else next(places)
        asked = visit(port, "POST /join" if joins else f"GET {place}", next(tongues), form.encode() if joins else b"")
        try:
            status, spent = await asked
        except (OSError, IndexError, ValueError):
            status, spent = 0, 0.0
        took[("joining" if joins else "reading") if status == 200 else "failed"].append(spent)

    began, visits = time.monotonic(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        visits.append(asyncio.create_task(one(number)))
    await asyncio.gather(*visits)
    return took


def percentile(spent: Sequence[float], share: float) -> float:
    """Return the value below which this share of some values lies."""
    return sorted(spent)[math.ceil(share * len(spent)) - 1]


def main() -> None:
    """Come as the arguments say, and print what it took."""
    port, rate, seconds, joining, *pages = sys.argv[1:]
    took = asyncio.run(come(int(port), float(rate), float(seconds), int(joining), pages))
    print(
        json.dumps(
            {
                kind: {"visits": len(spent)} | {f"p{share}": percentile(spent, share / 100) for share in (50, 95, 99)}
                for kind, spent in took.items()
            }
        )
    )


if __name__ == "__main__":
    main()
