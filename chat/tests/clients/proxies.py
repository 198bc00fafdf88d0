"""Tests a switchboard program behind nginx and HAProxy, with the configurations of docs/operations.md.

proxies.py PROGRAM      runs all cases, one line each
"""

import asyncio
import csv
import json
import re
import ssl
import sys
from pathlib import Path

from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived
from proxied_site import ELSEWHERE, HERE, ORIGIN, SITE, behind, edited, haproxy, nginx
from python_client import PROTOCOL, Failure, check, check_closed, wait

DOCUMENT = Path(__file__).parents[3] / "docs/operations.md"
PASSWORD = "correct horse battery"

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
    for _ in range(2):
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
    """Runs with several health checks a second."""
    await site.relay.begun(b"OPTIONS / HTTP/1.0", 5)
    await site.browser().join("Ada")
    reader, writer = await asyncio.open_unix_connection(site.folder / "stats")
    writer.write(b"show stat\n")
    table = (await wait("statistics", reader.read())).decode().removeprefix("# ")
    writer.close()
    chat = next(row for row in csv.DictReader(table.splitlines()) if row["svname"] == "chat")
    check("state, check, failed checks", ("UP", "L7OK", "0"), (chat["status"], chat["check_status"], chat["chkfail"]))


async def names_the_unknown_host(site):
    """Runs with an upstream's name for Host, which is none of the chat's names."""
    _, text = await site.browser().request("GET", "/", status=421)
    check(f"the Host that came in {text!r}", True, "backend" in text)


async def opens_over_http2(site):
    """Opens the chat as browsers do where a proxy offers WebSockets over HTTP/2 (RFC 8441)."""
    ada = site.browser()
    await ada.sign_in("guest", "Ada", status=201)
    tls = ssl.create_default_context(cafile=site.folder / "certificate")
    tls.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=tls, server_hostname=SITE)
    connection = H2Connection()
    connection.initiate_connection()
    request = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":authority": SITE, ":path": "/ws"}
    fields = {"origin": ORIGIN, "sec-websocket-version": "13", "sec-websocket-protocol": PROTOCOL}
    connection.send_headers(1, [*(request | fields).items(), ("cookie", ada.cookie["Cookie"])])
    status, frames = None, b""
    while b'["welcome"' not in frames:
        writer.write(connection.data_to_send())
        data = await wait("event welcome", reader.read(65536), others=(status, frames))
        if not data:
            raise Failure("event welcome", f"the end after status {status} and {frames}")
        for event in connection.receive_data(data):
            if isinstance(event, ResponseReceived):
                status = dict(event.headers)[b":status"]
            elif isinstance(event, DataReceived):
                frames += event.data
    check("status", b"200", status)
    writer.close()


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
    # A check may take as long as there is between two, unless there is a limit of its own.
    often = ("option httpchk", "option httpchk\n    timeout check 10s"), ("8080 check", "8080 check inter 250ms")
    yield "haproxy: health checks", haproxy, edited(documented("haproxy"), *often), [], stays_up
    yield "haproxy: WebSocket over HTTP/2", haproxy, documented("haproxy"), [], opens_over_http2
    manual = "nginx of its manual"
    yield f"{manual}: log-in and messages", nginx, NGINX_MANUAL, [], logs_in_and_chats
    yield f"{manual}: public origin", nginx, NGINX_MANUAL, [], names_the_public_origin
    upstream = "upstream backend { server 127.0.0.1:8080; }"
    named = f"{upstream}\n{edited(NGINX_MANUAL, ('http://127.0.0.1:8080', 'http://backend'))}"
    yield f"{manual}: upstream with a name", nginx, named, [], names_the_unknown_host


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
