"""Starts wstest with two changes: it listens on loopback only, and the environment variable MESSAGES sets how many
messages a case of 9.7, 9.8, 12 and 13 exchanges. The official suite exchanges 1000. Python 2.7."""
import os
import sys

sys.argv[0] = "wstest"

from autobahntestsuite.wstest import fuzzing, reactor, run

if os.environ.get("MESSAGES"):
    for case in fuzzing.Cases:
        if hasattr(case, "COUNT"):
            case.COUNT = int(os.environ["MESSAGES"])

listen = reactor.listenTCP
reactor.listenTCP = lambda port, factory, backlog=50, interface="": listen(port, factory, backlog, interface or "127.0.0.1")

run()
