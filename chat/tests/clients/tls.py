"""Tests the TLS of a switchboard program with openssl s_client and curl, and with Python while its certificate changes.

tls.py PROGRAM      runs all cases, one line each
"""

import asyncio
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from signal import SIGHUP
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from certificates import make_authority, options, renew
from python_client import Failure, check, check_message, running, send, wait

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
UPGRADE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


class Site:
    """A server with a certificate, and a client's view of it."""

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder
        self.address = urlsplit(server.url).netloc

    @property
    def authority(self):
        return str(self.folder / "authority.pem")

    async def run(self, *command, stdin=b""):
        """Runs a command, and returns its exit code with what it has said."""
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        out, err = await wait(f"end of {command[0]}", process.communicate(stdin))
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    async def s_client(self, *arguments, stdin=GET):
        trust = ["-CAfile", self.authority, "-verify_return_error", "-verify_hostname", "localhost"]
        command = ["openssl", "s_client", "-connect", self.address, "-servername", "localhost", *trust, "-ign_eof"]
        return await self.run(*command, *arguments, stdin=stdin)

    async def curl(self, url, *arguments):
        return await self.run("curl", "--silent", "--show-error", "--noproxy", "*", *arguments, url)

    async def certificate(self):
        trust = ssl.create_default_context(cafile=self.authority)
        host, port = self.address.split(":")
        _, writer = await wait("connection", asyncio.open_connection(host, port, ssl=trust))
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return certificate


async def gets_the_page_with_s_client(version, site):
    status, out, err = await site.s_client(f"-{version}", "-alpn", "h2,http/1.1")
    check("exit code", 0, status)
    for expected in "Verify return code: 0 (ok)", "ALPN protocol: http/1.1", "HTTP/1.1 200 OK", "</html>":
        if expected not in out:
            raise Failure(repr(expected), f"{out[-500:]!r} {err!r}")


async def refuses_old_versions(version, site):
    status, out, _ = await site.s_client(f"-{version}", "-cipher", "ALL:@SECLEVEL=0")
    check("exit code", 1, status)
    check("a response", False, "HTTP/1.1" in out)


async def refuses_another_protocol(site):
    status, out, _ = await site.s_client("-alpn", "h2")
    check("exit code", 1, status)
    check("a response", False, "HTTP/1.1" in out)


async def gets_the_page_with_curl(site):
    code, out, err = await site.curl(f"https://{site.address}/", "--cacert", site.authority, "--include")
    check("exit code and errors", (0, ""), (code, err))
    check("status", "HTTP/1.1 200 OK", out.splitlines()[0])
    check("end", "</html>", out.strip()[-7:])


async def is_not_trusted_without_the_authority(site):
    code, _, _ = await site.curl(f"https://{site.address}/", "--cacert", "/dev/null")
    check("exit code that says why", True, code in (60, 77))


async def refuses_plain_http(site):
    code, out, _ = await site.curl(f"http://{site.address}/", "--include")
    check("exit code", 0, code)
    check("status", "HTTP/1.1 400 Bad Request", out.splitlines()[0])
    check("reason", True, "https" in out)


async def upgrades_with_curl(site):
    fields = [part for field in UPGRADE for part in ("--header", field)]
    command = ["curl", "--verbose", "--http1.1", "--noproxy", "*", "--cacert", site.authority, *fields]
    process = await asyncio.create_subprocess_exec(*command, f"https://{site.address}/", stdout=DEVNULL, stderr=PIPE)
    # What it says of the response comes at once, unlike the response itself.
    said = await wait("response", process.stderr.readuntil(b"< \r\n"))
    for expected in b"< HTTP/1.1 101 Switching Protocols\r\n", b"< Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n":
        check(f"{expected} in the response", True, expected in said)
    process.kill()
    await process.wait()


async def lives_on_with_a_new_certificate(site):
    trust = ssl.create_default_context(cafile=site.authority)
    ws = await site.server.connect(ssl=trust)
    await send(ws, "before")
    await check_message(ws, "before")
    before = await site.certificate()
    renew(site.folder)
    site.server.process.send_signal(SIGHUP)

    async def changed():
        while await site.certificate() == before:
            pass

    await wait("a new certificate", changed())
    await send(ws, "after")
    await check_message(ws, "after")
    await gets_the_page_with_s_client("tls1_3", site)


def cases():
    for version in "tls1_2", "tls1_3":
        yield f"s_client: page over {version}", partial(gets_the_page_with_s_client, version)
    for version in "tls1", "tls1_1":
        yield f"s_client: {version} refused", partial(refuses_old_versions, version)
    yield "s_client: HTTP/2 alone refused", refuses_another_protocol
    yield "curl: page", gets_the_page_with_curl
    yield "curl: without the authority", is_not_trusted_without_the_authority
    yield "curl: plain HTTP", refuses_plain_http
    yield "curl: upgrade", upgrades_with_curl
    yield "python: new certificate", lives_on_with_a_new_certificate


@asynccontextmanager
async def encrypted(program):
    with TemporaryDirectory() as folder:
        folder = Path(folder)
        make_authority(folder)
        async with running(program, ["echo", *options(folder)]) as server:
            yield Site(server, folder)


async def run_cases(program):
    failed = 0
    for name, case in cases():
        try:
            async with encrypted(program) as site:
                await case(site)
            print(f"ok   tls    {name}", flush=True)
        except Exception as error:
            failed += 1
            seen = error if isinstance(error, Failure) else repr(error)
            print(f"FAIL tls    {name}: {seen}", flush=True)
    return failed


def main():
    match sys.argv[1:]:
        case [program]:
            sys.exit(1 if asyncio.run(run_cases(program)) else 0)
        case _:
            sys.exit(__doc__)


main()
