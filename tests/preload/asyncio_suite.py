#!/usr/bin/env python3
"""The socket suite's cases of asyncio: asyncio_suite.py PORT prints a line for each. As the rest of
the suite it knows nothing of TLS, and is run with and without it."""

import asyncio
import contextlib
import errno
import hashlib
import os
import socket
import sys
import tempfile

PATIENCE_S = 20
SIZE = 1 << 20
DATA = hashlib.sha512(b"asyncio").digest() * (SIZE // 64)


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def exchange(port, data):
    reader, writer = await asyncio.open_connection("localhost", port, family=socket.AF_INET)
    received = asyncio.create_task(reader.read(-1))
    writer.write(data)
    await writer.drain()
    writer.write_eof()
    answer = await received
    writer.close()
    await writer.wait_closed()
    return answer


def listening(port, handler):
    return asyncio.start_server(handler, "127.0.0.1", port)


async def streams(port):
    async with await listening(port, echo):
        answer = await exchange(port, DATA)
    return f"bytes={len(answer)} hash={digest(answer)}"


async def many_at_once(port):
    words = [f"client {number}".encode() * 1000 for number in range(20)]
    async with await listening(port, echo):
        answers = await asyncio.gather(*(exchange(port, word) for word in words))
    return f"right={sum(map(bytes.__eq__, answers, words))}"


class Server(asyncio.Protocol):
    """Sends a file by loop.sendfile(), then half closes; tells what the transport says."""

    def __init__(self, told):
        self.told = told

    def connection_made(self, transport):
        self.transport = transport
        family = transport.get_extra_info("socket").family
        self.told.append(f"family={family.name} peer={transport.get_extra_info('peername')[0]}")

    def data_received(self, data):
        self.told.append(f"data={data.decode()}")
        self.transport.write(b"reply")
        self.transport.write_eof()

    def eof_received(self):
        self.told.append("eof")

    def connection_lost(self, error):
        self.told.append(f"lost={error}")


async def protocols(port):
    loop, told = asyncio.get_running_loop(), []
    server = await loop.create_server(lambda: Server(told), "127.0.0.1", port)
    async with server:
        reader, writer = await asyncio.open_connection("localhost", port, family=socket.AF_INET)
        writer.write(b"question")
        answer = await reader.read(-1)
        told.append(f"answer={answer.decode()}")
        writer.close()
        await writer.wait_closed()
        while not told[-1].startswith("lost"):
            await asyncio.sleep(0.01)
    return " ".join(told)


async def by_sendfile(port):
    loop = asyncio.get_running_loop()

    async def send(reader, writer):
        with tempfile.TemporaryFile() as file:
            file.write(DATA)
            file.flush()
            sent = await loop.sendfile(writer.transport, file, 0, len(DATA), fallback=False)
        writer.write(str(sent).encode())
        writer.close()
        await reader.read(-1)
        await writer.wait_closed()

    async with await listening(port, send):
        answer = await exchange(port, b"")
    return f"bytes={len(answer)} hash={digest(answer)} end={answer[-7:].decode()}"


async def plain_sockets(port):
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", port)) as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        address = (await loop.getaddrinfo("localhost", port, family=socket.AF_INET))[0][4]
        (server, _), _ = await asyncio.gather(loop.sock_accept(listener),
                                              loop.sock_connect(client, address))
        with server:
            server.setblocking(False)
            await loop.sock_sendall(client, b"over sockets")
            received = await loop.sock_recv(server, 100)
            client.shutdown(socket.SHUT_WR)
            end = await loop.sock_recv(server, 100)
    return f"received={received.decode()} end={len(end)}"


async def refused(port):
    try:
        await asyncio.open_connection("localhost", port, family=socket.AF_INET)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "connected"


async def cancelled(port):
    async with await listening(port, echo):
        reader, writer = await asyncio.open_connection("localhost", port, family=socket.AF_INET)
        waiting = asyncio.create_task(reader.read(1))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        writer.write(b"and on")
        answer = await reader.readexactly(6)
        writer.close()
        await writer.wait_closed()
    return answer.decode()


CASES = {
    "asyncio, streams of 1 MiB": streams,
    "asyncio, 20 clients at once": many_at_once,
    "asyncio, protocols and half a close": protocols,
    "asyncio, sendfile": by_sendfile,
    "asyncio, sockets": plain_sockets,
    "asyncio, refused": refused,
    "asyncio, a cancelled read": cancelled,
}


def main():
    port = int(sys.argv[1])
    for name, case in CASES.items():
        try:
            result = asyncio.run(asyncio.wait_for(case(port), PATIENCE_S))
        except Exception as error:  # of any kind: it is the result
            result = f"GAVE UP with {type(error).__name__} {error}"
        print(f"{name}: {result}", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
