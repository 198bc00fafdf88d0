"""Tests a switchboard program behind nginx and HAProxy, with the configurations of docs/operations.md.

proxies.py PROGRAM      runs all cases, one line each

Each case starts a server, a relay before it that counts the proxy's connections, and a proxy with TLS before the relay.
"""

import asyncio
import csv
import getpass
import json
import os
import re
import socket
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

from python_client import DEADLINE, PROTOCOL, Chat, Failure, check, check_closed, running, wait
from websockets.exceptions import InvalidStatus

SITE = "chat.example"
ORIGIN = f"https://{SITE}"
DOCUMENT = Path(__file__).parents[3] / "docs/operations.md"
OPTIONS = ["--data", ":memory:", "--public-url", ORIGIN, "--trusted-proxy", "127.0.0.1", "--guests"]
PASSWORD = "correct horse battery"
# Users at other addresses than the proxy's: an address that is trusted to be a proxy is never a client's.
HERE, ELSEWHERE = "127.0.0.2", "127.0.0.3"

# What is around the documented part of nginx's configuration: Debian's has it in /etc/nginx/nginx.conf.
NGINX = """
daemon off;
user {user};
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}}
"""

# The example of https://nginx.org/en/docs/http/websocket.html, which says nothing of Host and X-Forwarded-For.
NGINX_MANUAL = """
map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      close;
}

server {
    listen 443 ssl;
    ssl_certificate     /etc/ssl/certs/chat.example.pem;
    ssl_certificate_key /etc/ssl/private/chat.example.key;

    location / {
        proxy_pass http://127.0.0.1:8080;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
"""


def documented(language):
    """Returns the one block of this language in the document."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    check(f"blocks of {language} in {DOCUMENT.name}", 1, len(blocks))
    return blocks[0]


def edited(configuration, *edits):
    for old, new in edits:
        check(f"occurrences of {old!r} in the configuration", 1, configuration.count(old))
        configuration = configuration.replace(old, new)
    return configuration


class Relay:
    """Passes connections on to the chat, and keeps the first line of each."""

    def __init__(self, port):
        self.port = port
        self.lines = []
        self.changed = asyncio.Condition()

    async def connected(self, reader, writer):
        chat_reader, chat_writer = await asyncio.open_connection("127.0.0.1", self.port)
        first_line = await reader.readline()
        async with self.changed:
            self.lines.append(first_line)
            self.changed.notify_all()
        chat_writer.write(first_line)
        await asyncio.gather(self.pass_on(reader, chat_writer), self.pass_on(chat_reader, writer))

    async def pass_on(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def begun_with(self, method):
        return sum(line.startswith(method) for line in self.lines)

    async def begun(self, method, count):
        async with self.changed:
            await wait(
                f"{count} connections that begin with {method}",
                self.changed.wait_for(lambda: self.begun_with(method) >= count),
                others=self.lines,
            )


class Site:
    """The chat as it is seen from outside: at the proxy's address, by the public name."""

    def __init__(self, server, relay, port, folder):
        self.server = server
        self.relay = relay
        self.port = port
        self.folder = folder
        self.tls = ssl.create_default_context(cafile=folder / "certificate")

    def browser(self, address=HERE):
        return Browser(self, address)


class Browser:
    """Does what the page does in a browser: names its origin, and keeps cookies."""

    def __init__(self, site, address):
        self.site = site
        self.address = address
        self.cookies = {}

    @property
    def cookie(self):
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    async def request(self, method, path, body=None, *, status=200, **headers):
        """Sends a request over a connection of its own, and returns the response with its text."""
        headers |= self.cookie
        if body is not None:
            headers |= {"Origin": ORIGIN, "Content-Type": "application/json"}
            body = json.dumps(body)

        def answer():
            connection = HTTPConnection(SITE)
            plain = socket.create_connection(("127.0.0.1", self.site.port), DEADLINE, (self.address, 0))
            with self.site.tls.wrap_socket(plain, server_hostname=SITE) as connection.sock:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response, response.read().decode()

        response, text = await wait(f"answer to {method} {path}", asyncio.to_thread(answer))
        check(f"{method} {path} with status", (status, text), (response.status, text))
        for field in response.headers.get_all("Set-Cookie", []):
            for name, cookie in SimpleCookie(field).items():
                check("prefix and Secure of cookies", (True, True), (name.startswith("__Host-"), cookie["secure"]))
                self.cookies[name] = cookie.value
        return response, text

    async def sign_in(self, how, name, *, status, **body):
        await self.request("POST", f"/api/{how}", {"name": name, **body}, status=status)

    async def open_chat(self, origin=ORIGIN):
        ws = await self.site.server.connect(
            f"wss://{SITE}/ws",
            host="127.0.0.1",
            port=self.site.port,
            local_addr=(self.address, 0),
            ssl=self.site.tls,
            origin=origin,
            subprotocols=[PROTOCOL],
            additional_headers=self.cookie,
        )
        return Chat(ws)

    async def is_refused(self, status, origin=ORIGIN):
        try:
            await self.open_chat(origin)
        except Failure as failure:
            if not isinstance(failure.__cause__, InvalidStatus):
                raise
            check("HTTP status", status, failure.__cause__.response.status_code)
        else:
            raise Failure(f"HTTP status {status}", "an open connection")

    async def join(self, name):
        """Opens the chat as a new guest who follows the Lobby."""
        await self.sign_in("guest", name, status=201)
        chat = await self.open_chat()
        await chat.welcome(name, guest=True)
        await chat.ask("join", {"room": 1})
        return chat


def nginx(configuration, folder, listener, upstream):
    """Writes nginx's configuration, and returns its command and environment."""
    listen = f"listen 127.0.0.1:{listener.getsockname()[1]} ssl;"
    site = edited(
        configuration,
        ("listen 443 ssl;", listen),
        ("/etc/ssl/certs/chat.example.pem", f"{folder}/certificate"),
        ("/etc/ssl/private/chat.example.key", f"{folder}/key"),
        ("127.0.0.1:8080", f"127.0.0.1:{upstream}"),
    )
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(NGINX.format(user=getpass.getuser()))
    # In this variable nginx takes over listeners, when it replaces itself with a newer version.
    command = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]
    return command, {"NGINX": f"{listener.fileno()};"}


def haproxy(configuration, folder, listener, upstream):
    """Writes HAProxy's configuration, and returns its command and environment."""
    pair = folder / "pair"
    pair.write_text((folder / "certificate").read_text() + (folder / "key").read_text())
    site = edited(
        configuration,
        ("bind :443 ", f"bind fd@{listener.fileno()} "),
        ("/etc/haproxy/chat.example.pem", str(pair)),
        ("127.0.0.1:8080", f"127.0.0.1:{upstream}"),
    )
    (folder / "haproxy.cfg").write_text(f"global\n    stats socket {folder}/stats\n\n{site}")
    return ["haproxy", "-db", "-f", folder / "haproxy.cfg"], {}


def make_certificate(folder):
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj".split()
    names = [f"/CN={SITE}", "-addext", f"subjectAltName=DNS:{SITE}"]
    files = ["-keyout", folder / "key", "-out", folder / "certificate"]
    run([*command, *names, *files], check=True, capture_output=True)


@asynccontextmanager
async def ended_after(process):
    """Ends the process after the block, and shows what it said if the block failed."""
    log = asyncio.create_task(process.stderr.read())
    succeeded = False
    try:
        yield
        succeeded = True
    finally:
        if process.returncode is None:
            process.terminate()
        said = await log
        if not succeeded:
            sys.stderr.write(said.decode(errors="replace"))
        await process.wait()


@contextmanager
def listening():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@asynccontextmanager
async def behind(proxy, configuration, program, options):
    """A chat behind a proxy with this configuration, both on free ports."""
    with TemporaryDirectory() as folder, listening() as listener:
        folder = Path(folder)
        make_certificate(folder)
        async with running(program, [*OPTIONS, *options]) as server:
            relay = Relay(int(server.url.rstrip("/").rsplit(":")[-1]))
            async with await asyncio.start_server(relay.connected, "127.0.0.1", 0) as upstream:
                port = upstream.sockets[0].getsockname()[1]
                command, environment = proxy(configuration, folder, listener, port)
                process = await asyncio.create_subprocess_exec(
                    *command,
                    env=os.environ | environment,
                    pass_fds=[listener.fileno()],
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    stderr=PIPE,
                )
                async with ended_after(process):
                    yield Site(server, relay, listener.getsockname()[1], folder)
                    await server.hang_up()


async def logs_in_and_chats(site):
    ada = site.browser()
    await ada.sign_in("register", "Ada", password=PASSWORD, status=201)
    await ada.sign_in("login", "Ada", password=PASSWORD, status=200)
    _, session = await ada.request("GET", "/api/session")
    check("name of the session", "Ada", json.loads(session)["you"]["name"])
    ada_chat = await ada.open_chat()
    check("subprotocol", PROTOCOL, ada_chat.ws.subprotocol)
    await ada_chat.welcome("Ada", guest=False)
    await ada_chat.ask("join", {"room": 1})
    bob_chat = await site.browser().join("Bob")
    for sender, name, text in (ada_chat, "Ada", "hi"), (bob_chat, "Bob", "hello"):
        await sender.say(text)
        for receiver in ada_chat, bob_chat:
            await receiver.event("message", text=text, **{"from": name})


async def names_the_public_origin(site):
    page, _ = await site.browser().request("GET", "/")
    policy = page.headers["Content-Security-Policy"]
    connect = next(part for part in policy.split(";") if part.strip().startswith("connect-src"))
    check(f"wss://{SITE} in {connect}", True, f"wss://{SITE}" in connect.split())


async def refuses_a_foreign_origin(site):
    await site.browser().is_refused(403, "https://evil.example")


async def counts_each_client(site):
    """Runs with two connections for each address. Clients do not choose the address that they count for."""
    for number in range(2):
        await site.browser(HERE).open_chat()
    await site.browser(HERE).is_refused(503)
    await site.browser(ELSEWHERE).open_chat()


async def survives_idleness(site):
    """Runs with a proxy that ends a connection after two seconds of silence. The page's beats are not silence."""
    chat = await site.browser().join("Ada")
    for _ in range(5):
        await chat.send("beat")
        while await wait("beat", chat.ws.recv()) != '["beat"]':
            pass
        try:
            async with asyncio.timeout(0.6):
                await chat.ws.wait_closed()
            raise Failure("a connection that stays open", chat.ws.protocol.close_exc)
        except TimeoutError:
            pass
    # Without beats it does not stay, so they were what kept it.
    await wait("the end of a silent connection", chat.ws.wait_closed())


async def reuses_connections(site):
    browser = site.browser()
    for _ in range(10):
        await browser.request("GET", "/api/session")
    check("connections for ten requests", 1, site.relay.begun_with(b"GET"))


async def closes_on_shutdown(site):
    chat = await site.browser().join("Ada")
    await asyncio.gather(site.server.stop(), check_closed(chat.ws, 1001, by_server=True))


async def stays_up(site):
    """Runs with many health checks a second."""
    await site.relay.begun(b"OPTIONS / HTTP/1.0", 10)
    await site.browser().join("Ada")
    reader, writer = await asyncio.open_unix_connection(site.folder / "stats")
    writer.write(b"show stat\n")
    table = (await wait("statistics", reader.read())).decode().removeprefix("# ")
    writer.close()
    chat = next(row for row in csv.DictReader(table.splitlines()) if row["svname"] == "chat")
    check("state, check, failed checks", ("UP", "L7OK", "0"), (chat["status"], chat["check_status"], chat["chkfail"]))


def cases():
    for proxy in nginx, haproxy:
        name, document = proxy.__name__, documented(proxy.__name__)
        silence = {
            nginx: ("proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_read_timeout 2s;"),
            haproxy: ("timeout tunnel 2m", "timeout tunnel 2s"),
        }[proxy]
        two = ["--max-connections-per-address", "2"]
        yield f"{name}: log-in and messages", proxy, document, [], logs_in_and_chats
        yield f"{name}: public origin", proxy, document, [], names_the_public_origin
        yield f"{name}: foreign origin", proxy, document, [], refuses_a_foreign_origin
        yield f"{name}: connections per client", proxy, document, two, counts_each_client
        yield f"{name}: idle", proxy, edited(document, silence), [], survives_idleness
        yield f"{name}: SIGTERM", proxy, document, [], closes_on_shutdown
    yield "nginx: kept connections", nginx, documented("nginx"), [], reuses_connections
    often = edited(documented("haproxy"), ("8080 check", "8080 check inter 50ms"))
    yield "haproxy: health checks", haproxy, often, [], stays_up
    manual = "nginx of its manual"
    yield f"{manual}: log-in and messages", nginx, NGINX_MANUAL, [], logs_in_and_chats


async def run_cases(program):
    failed = 0
    for name, proxy, configuration, options, case in cases():
        try:
            async with behind(proxy, configuration, program, options) as site:
                await case(site)
            print(f"ok   proxies {name}", flush=True)
        except Exception as error:
            failed += 1
            seen = error if isinstance(error, Failure) else repr(error)
            print(f"FAIL proxies {name}: {seen}", flush=True)
    return failed


def main():
    match sys.argv[1:]:
        case [program]:
            sys.exit(1 if asyncio.run(run_cases(program)) else 0)
        case _:
            sys.exit(__doc__)


main()
