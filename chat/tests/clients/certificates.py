"""An authority of the tests' own, and certificates of it for this machine.

certificates.py FOLDER      makes authority.pem, and server.pem with server.key
"""

import sys
from pathlib import Path
from subprocess import run

CONFIGURATION = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
"""


def make(folder, name, *arguments):
    command = "openssl req -x509 -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split()
    files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
    run([*command, *arguments, *files], cwd=folder, check=True, capture_output=True)


def make_authority(folder):
    (folder / "openssl.cnf").write_text(CONFIGURATION)
    make(folder, "authority", "-subj", "/CN=client tests", "-extensions", "authority")
    renew(folder)


def renew(folder):
    """Puts a new certificate in the place of the server's."""
    authority = ["-CA", "authority.pem", "-CAkey", "authority.key"]
    make(folder, "new", "-subj", "/CN=server", "-extensions", "server", *authority)
    for kind in "pem", "key":
        (folder / f"new.{kind}").rename(folder / f"server.{kind}")


def options(folder):
    """The options of a server with the certificate."""
    return ["--tls-cert", str(folder / "server.pem"), "--tls-key", str(folder / "server.key")]


def main():
    match sys.argv[1:]:
        case [folder]:
            make_authority(Path(folder))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
