"""A chat behind nginx or HAProxy, and browsers that use it."""

import asyncio
import getpass
import json
import os
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

from python_client import DEADLINE, PROTOCOL, Chat, Failure, brief, check, running, wait
from websockets.exceptions import InvalidStatus

SITE = "chat.example"
ORIGIN = f"https://{SITE}"
OPTIONS = ["--data", ":memory:", "--public-url", ORIGIN, "--trusted-proxy", "127.0.0.1", "--guests"]
# Addresses of users. The proxy has another one: an address that is trusted to be a proxy is never a client's.
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
        if response.status != status:
            raise Failure(f"{method} {path} with status {status}", f"{response.status} {brief(text)}")
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
    """A chat, the relay before it, and a proxy with TLS and this configuration before the relay, all on free ports."""
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
