"""Tests a switchboard program with the Python `websockets` client.

python_client.py PROGRAM      runs all cases, one line each, and over TLS if TLS_FILES is a folder of certificates.py
python_client.py --peer URL   the other side of the Node client's case "talks to Python"
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener
from uuid import uuid4

import certificates
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.protocol import State

DEADLINE = 10  # seconds, for every wait
EXIT_DEADLINE = 6  # seconds from SIGTERM to the end of the process
PROTOCOL = "switchboard.v1"
LOBBY = 1  # the room that every user is in from the beginning
# The authority of these certificates has to be in SSL_CERT_FILE.
TLS = certificates.options(Path(os.environ["TLS_FILES"])) if "TLS_FILES" in os.environ else []


class Failure(Exception):
    def __init__(self, expected, seen):
        super().__init__(f"expected {expected}, got {seen}")


def brief(value):
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}… ({len(value)} long)"


def check(what, expected, seen):
    if seen != expected:
        raise Failure(f"{what} {brief(expected)}", brief(seen))


async def wait(what, awaitable, *, seconds=DEADLINE, others=()):
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        found = f"only {others}" if others else "nothing"
        raise Failure(what, f"{found} in {seconds} s") from None
    except (WebSocketException, OSError) as error:
        raise Failure(what, f"{type(error).__name__}: {error}") from error


async def send(ws, message):
    await wait(f"{brief(message)} sent", ws.send(message))


async def check_message(ws, expected):
    check("message", expected, await wait(f"message {brief(expected)}", ws.recv()))


async def check_pong(ws, payload):
    async def pong():
        # The library completes this future only for a pong with the same payload.
        await (await ws.ping(payload))

    await wait(f"pong {brief(payload)}", pong())


async def check_closed(ws, code, *, by_server):
    await wait(f"close {code}", ws.wait_closed())
    closed = ws.protocol.close_exc
    seen = (
        closed.rcvd and closed.rcvd.code,
        closed.sent and closed.sent.code,
        closed.rcvd_then_sent,
    )
    if seen != (code, code, by_server):
        side = "server" if by_server else "client"
        raise Failure(f"clean close {code} begun by the {side}", str(closed))


class Server:
    """A running switchboard program and the connections to it."""

    def __init__(self, process, url):
        self.process = process
        self.stopped = False
        self.url = url
        parts = urlsplit(url)
        secure = "s" if parts.scheme in ("https", "wss") else ""
        self.chat_url = f"ws{secure}://{parts.netloc}/ws"
        self.origin = f"http{secure}://{parts.netloc}"
        self.connections = []

    async def connect(self, url=None, **options):
        ws = await wait("connection", connect(url or self.url, proxy=None, **options))
        self.connections.append(ws)
        return ws

    async def sign_in(self, how, name, **body):
        """Asks the API for a session, as a guest or with an account, and returns its token."""
        body = json.dumps({"name": name, "token": True, **body}).encode()
        request = Request(f"{self.origin}/api/{how}", body, {"Content-Type": "application/json"})

        def answer():
            with build_opener(ProxyHandler({})).open(request, timeout=DEADLINE) as response:
                return json.load(response)

        signed_in = await wait(f"answer to {how}", asyncio.to_thread(answer))
        you = {"name": name, "guest": how == "guest", "operator": False}
        check(f"{how} with you", you, signed_in["you"])
        return signed_in["token"]

    async def open_chat(self, token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        ws = await self.connect(self.chat_url, subprotocols=[PROTOCOL], additional_headers=headers)
        check("subprotocol", PROTOCOL, ws.subprotocol)
        return Chat(ws)

    async def join(self, name):
        """A new guest who follows the Lobby."""
        chat = await self.open_chat(await self.sign_in("guest", name))
        await chat.welcome(name, guest=True)
        joined = await chat.ask("join", {"room": LOBBY})
        check("Lobby", ("Lobby", True), (joined["room"]["name"], joined["live"]))
        return chat

    async def hang_up(self):
        for ws in self.connections:
            if ws.state is State.OPEN:
                await ws.close()
                await check_closed(ws, 1000, by_server=False)

    async def stop(self):
        self.stopped = True
        check("exit code before SIGTERM", None, self.process.returncode)
        self.process.terminate()
        await wait("exit after SIGTERM", self.process.wait(), seconds=EXIT_DEADLINE)
        check("exit code", 0, self.process.returncode)


@asynccontextmanager
async def running(program, arguments):
    process = await asyncio.create_subprocess_exec(
        program, *arguments, "--listen", "127.0.0.1:0", stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    log = asyncio.create_task(process.stderr.read())
    try:
        line = (await wait("line with the URL", process.stdout.readline())).decode()
        if "://127.0.0.1:" not in line:
            raise Failure("line that ends with the URL", repr(line))
        server = Server(process, line.split()[-1])
        yield server
        if not server.stopped:
            await server.hang_up()
            await server.stop()
    except BaseException:
        if process.returncode is None:
            process.kill()
        sys.stderr.write((await log).decode(errors="replace"))
        raise
    finally:
        await log
        await process.wait()


class Chat:
    """One user of the chat; keeps the events that the case has not taken yet."""

    def __init__(self, ws):
        self.ws = ws
        self.asked = 0
        self.unclaimed = []

    async def send(self, *event):
        await send(self.ws, json.dumps(event))

    async def ask(self, event, data):
        """Sends an event and returns the result that acknowledges it."""
        self.asked += 1
        await self.send(event, data, self.asked)
        return await self.event("ack", self.asked)

    async def say(self, text):
        """Sends a message to the Lobby and returns its `seq`."""
        said = await self.ask("say", {"room": LOBBY, "text": text, "key": str(uuid4())})
        return said["seq"]

    async def welcome(self, name, *, guest):
        you = {"name": name, "guest": guest, "operator": False}
        await self.event("welcome", keys="session time limits rooms older blocked blocked_more online", you=you)
        check("events before welcome", [], self.unclaimed)

    async def expired(self, reason):
        await self.event("expired", reason=reason)
        await check_closed(self.ws, 4001, by_server=True)

    async def event(self, name, /, *id, keys="", **values):
        """Takes the first event of this name and id, and checks what its data holds."""
        what = f"event {json.dumps([name, {}, *id])}"
        data = await wait(what, self.take(name, list(id)), others=self.unclaimed)
        for key in keys.split():
            if key not in data:
                raise Failure(f"{name} with {keys}", data)
        for key, value in values.items():
            check(f"{name} with {key}", value, data.get(key))
        return data

    async def take(self, name, id):
        seen = 0
        while True:
            for position in range(seen, len(self.unclaimed)):
                event, data, *event_id = self.unclaimed[position]
                if event == name and event_id == id:
                    del self.unclaimed[position]
                    return data
            seen = len(self.unclaimed)
            self.unclaimed.append(json.loads(await self.ws.recv()))


async def connects(server):
    await server.connect()


async def echoes(message, server):
    ws = await server.connect()
    await send(ws, message)
    await check_message(ws, message)


async def echoes_fragments(is_text, server):
    whole = "日本語🦀".encode()
    ws = await server.connect()

    async def fragments():
        yield whole[:2]
        await check_pong(ws, b"between fragments")
        yield whole[2:4]
        yield whole[4:11]
        yield whole[11:]

    await ws.send(fragments(), text=is_text)
    await check_message(ws, whole.decode() if is_text else whole)


async def pongs(payload, server):
    await check_pong(await server.connect(), payload)


async def closes(code, server):
    ws = await server.connect()
    await ws.close(code, "bye")
    await check_closed(ws, code, by_server=False)


async def echoes_pipelined(server):
    ws = await server.connect()
    messages = [f"message {number}" for number in range(200)]
    for message in messages:
        await send(ws, message)
    for message in messages:
        await check_message(ws, message)


async def echoes_with_compression(offer, answer, server):
    extensions = None if offer is None else [ClientPerMessageDeflateFactory(**offer)]
    ws = await server.connect(compression=None, extensions=extensions)
    check("extension", answer, ws.response.headers.get("Sec-WebSocket-Extensions"))
    for number in range(40):
        message = f"compress me {number}, as I said in {number - 1}; " * (1 + number * number)
        await send(ws, message)
        await check_message(ws, message)


async def opens_without_unknown_subprotocol(server):
    ws = await server.connect(subprotocols=["unknown.v1"])
    check("subprotocol", None, ws.subprotocol)
    await send(ws, "hello")
    await check_message(ws, "hello")


async def refuses_long_message(server):
    ws = await server.connect()
    await send(ws, "x" * 1000)
    await check_message(ws, "x" * 1000)
    await send(ws, "x" * 1001)
    await check_closed(ws, 1009, by_server=True)


async def broadcasts_to(to, server):
    clients = [await server.connect() for _ in range(3)]
    for ws in clients:
        await check_pong(ws, b"is the server ready for this client?")
    sender, second, third = clients
    await send(sender, "from the first")
    if to == "all":
        await check_message(sender, "1: from the first")
    await check_message(second, "1: from the first")
    await check_message(third, "1: from the first")
    # A copy of its own message would reach the sender before this one.
    await send(second, "from the second")
    await check_message(sender, "2: from the second")
    if to == "all":
        await check_message(second, "2: from the second")
    await check_message(third, "2: from the second")


async def chats(server):
    ada = await server.join("Ada")
    bob = await server.join("Bob")
    said = []
    for member, name, text in (ada, "Ada", "hi"), (bob, "Bob", "hello"), (ada, "Ada", "bye"):
        seq = await member.say(text)
        # The case has taken all earlier messages: one that is left came before its ack.
        check("messages before the ack", [], [e for e in member.unclaimed if e[0] == "message"])
        for receiver in ada, bob:
            message = {"room": LOBBY, "seq": seq, "from": name, "kind": "said", "text": text}
            await receiver.event("message", **message)
        said.append(seq)
    check("numbers", [said[0], said[0] + 1, said[0] + 2], said)


async def signs_in_to_an_account(server):
    password = "correct horse battery"
    await server.sign_in("register", "Ada", password=password)
    token = await server.sign_in("login", "Ada", password=password)
    ada = await server.open_chat()
    await ada.send("auth", {"token": token})
    await ada.welcome("Ada", guest=False)


async def tells_in_private(server):
    ada = await server.join("Ada")
    bob = await server.join("Bob")
    carol = await server.join("Carol")
    sent = await ada.ask("tell", {"name": "Bob", "text": "psst", "key": str(uuid4())})
    await bob.event("room", room=sent["room"], kind="direct", name="Ada")
    await bob.event("message", room=sent["room"], seq=sent["seq"], text="psst", **{"from": "Ada"})
    # If Carol had received the private message, it would come before this one.
    await ada.say("hi all")
    await carol.event("message", room=LOBBY, text="hi all")


async def says_once_per_key(server):
    bob = await server.join("Bob")
    token = await server.sign_in("guest", "Ada")
    message = {"room": LOBBY, "text": "once", "key": str(uuid4())}
    ada = await server.open_chat(token)
    first = await ada.ask("say", message)
    check("result of the repeat", first, await ada.ask("say", message))
    ada = await server.open_chat(token)
    check("result on the next connection", first, await ada.ask("say", message))
    await ada.say("and on")
    await bob.event("message", seq=first["seq"], text="once")
    await bob.event("message", seq=first["seq"] + 1, text="and on")


async def comes_back(server):
    ada = await server.join("Ada")
    token = await server.sign_in("guest", "Bob")
    bob = await server.open_chat(token)
    await bob.ask("join", {"room": LOBBY})
    await ada.say("heard")
    message = await bob.event("message", text="heard")
    await bob.ws.close()

    missed = [(await ada.say(text), text) for text in ("missed", "missed too")]
    bob = await server.open_chat(token)
    since = {key: message[key] for key in ("epoch", "seq", "hash")}
    other = await bob.ask("join", {"room": LOBBY, "since": since | {"hash": "?"}})
    check("gap after another message", True, other["gap"])
    joined = await bob.ask("join", {"room": LOBBY, "since": since})
    check("missed", missed, [(message["seq"], message["text"]) for message in joined["messages"]])
    check("gap and live", (False, True), (joined["gap"], joined["live"]))
    seq = await ada.say("live again")
    await bob.event("message", seq=seq, text="live again")


async def reports_unknown_event(server):
    ada = await server.join("Ada")
    await ada.send("nope", {}, "an id")
    await ada.event("error", "an id", keys="message", code="unknown_event")
    await ada.say("still here")


async def survives_bad_json(server):
    ada = await server.join("Ada")
    await send(ada.ws, "{")
    await ada.event("error", keys="message", code="bad_json")
    await ada.say("still here")


async def expires_unknown_tokens(server):
    unknown_token = "A" * len(await server.sign_in("guest", "Ada"))
    by_header = await server.open_chat(unknown_token)
    await by_header.expired("unknown")
    by_event = await server.open_chat()
    await by_event.send("auth", {"token": unknown_token})
    await by_event.expired("unknown")


async def refuses_binary(server):
    ada = await server.join("Ada")
    await send(ada.ws, b"[]")
    await check_closed(ada.ws, 1003, by_server=True)


async def refuses_foreign_origin(server):
    await server.connect(server.chat_url, origin=server.origin, subprotocols=[PROTOCOL])
    origin = "http://evil.example"
    try:
        await server.connect(server.chat_url, origin=origin, subprotocols=[PROTOCOL])
    except Failure as failure:
        if not isinstance(failure.__cause__, InvalidStatus):
            raise
        check("HTTP status", 403, failure.__cause__.response.status_code)
    else:
        raise Failure("HTTP status 403", "an open connection")


async def closes_on_shutdown(clients, server):
    goodbyes = (check_closed(ws, 1001, by_server=True) for ws in clients)
    await asyncio.gather(server.stop(), *goodbyes)


async def echo_closes_on_shutdown(server):
    clients = [await server.connect() for _ in range(2)]
    for ws in clients:
        await send(ws, "hello")
        await check_message(ws, "hello")
    await closes_on_shutdown(clients, server)


async def chat_closes_on_shutdown(server):
    ada = await server.join("Ada")
    bob = await server.join("Bob")
    await ada.say("hi")
    await bob.event("message", text="hi")
    await closes_on_shutdown([ada.ws, bob.ws], server)


async def peer(url):
    server = Server(None, url)
    python = await server.join("Python")
    await python.say("hi from Python")
    await python.event("message", text="hi from Python", **{"from": "Python"})
    await python.event("message", text="hi from Node", **{"from": "Node"})
    await server.hang_up()


def cases():
    echo = ["echo"]
    yield "echo: connect", echo, connects
    yield "echo: text, multi-byte", echo, partial(echoes, "Grüße, 日本語, 한국어, 🦀 👩‍🚀")
    yield "echo: text 'Hello'", echo, partial(echoes, "Hello")
    for length in 0, 125, 126, 65535, 65536, 1024 * 1024:
        data = (bytes(range(256)) * (length // 256 + 1))[:length]
        text = ("0123456789" * (length // 10 + 1))[:length]
        yield f"echo: text of {length} bytes", echo, partial(echoes, text)
        yield f"echo: binary of {length} bytes", echo, partial(echoes, data)
    yield "echo: text in fragments, a ping between", echo, partial(echoes_fragments, True)
    yield "echo: binary in fragments, a ping between", echo, partial(echoes_fragments, False)
    yield "echo: ping", echo, partial(pongs, b"are you there?")
    yield "echo: ping of 125 bytes", echo, partial(pongs, bytes(range(125)))
    yield "echo: close 1000", echo, partial(closes, 1000)
    yield "echo: close 4000", echo, partial(closes, 4000)
    yield "echo: 200 messages at once", echo, echoes_pipelined
    no_takeover = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    takeover = [*echo, "--deflate-memory-bytes", "100000000"]
    bits = {"server_max_window_bits": 9, "client_max_window_bits": 9}
    smaller = "permessage-deflate; server_max_window_bits=9"
    yield "echo: compression", echo, partial(echoes_with_compression, {}, no_takeover)
    yield "echo: compression with context takeover", takeover, partial(echoes_with_compression, {}, "permessage-deflate")
    yield "echo: compression with small windows", takeover, partial(echoes_with_compression, bits, smaller)
    yield "echo: compression not offered", echo, partial(echoes_with_compression, None, None)
    yield "echo: compression turned off", [*echo, "--no-deflate"], partial(echoes_with_compression, {}, None)
    yield "echo: unknown subprotocol", echo, opens_without_unknown_subprotocol
    yield "echo: too long a message", [*echo, "--max-message-bytes", "1000"], refuses_long_message
    yield "echo: SIGTERM", echo, echo_closes_on_shutdown
    for to in "all", "others":
        yield f"broadcast: to {to}", ["broadcast", "--to", to], partial(broadcasts_to, to)
    chat = ["--data", ":memory:"]
    yield "chat: two members", chat, chats
    yield "chat: an account, the event auth", chat, signs_in_to_an_account
    yield "chat: tell", chat, tells_in_private
    yield "chat: a repeated key", chat, says_once_per_key
    yield "chat: coming back", chat, comes_back
    yield "chat: unknown event", chat, reports_unknown_event
    yield "chat: bad JSON", chat, survives_bad_json
    yield "chat: unknown token", chat, expires_unknown_tokens
    yield "chat: foreign origin", chat, refuses_foreign_origin
    yield "chat: binary", chat, refuses_binary
    yield "chat: SIGTERM", chat, chat_closes_on_shutdown


async def run_cases(program):
    failed = 0
    for name, arguments, case in cases():
        try:
            async with running(program, [*arguments, *TLS]) as server:
                await case(server)
            print(f"ok   python {name}{' over TLS' if TLS else ''}", flush=True)
        except Exception as error:
            failed += 1
            seen = error if isinstance(error, Failure) else repr(error)
            print(f"FAIL python {name}: {seen}", flush=True)
    return failed


def main():
    match sys.argv[1:]:
        case ["--peer", url]:
            asyncio.run(peer(url))
        case [program]:
            sys.exit(1 if asyncio.run(run_cases(program)) else 0)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
