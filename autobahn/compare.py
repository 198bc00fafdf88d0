"""Compares a report of the Autobahn|Testsuite with the expected results, case by case.

usage: compare.py ROLE REPORT EXPECTED [--accept]

Prints the counts by section, every case that is not OK, and every difference. Exits with 1 if there is a difference. The
result of a case is its behaviour, its behaviour when closing, and the close code that the suite received from us, because
the peer must be told about a failure. --accept writes the report to EXPECTED instead.
"""
import json
import sys
from collections import Counter, defaultdict


def main():
    role, report_path, expected_path, *rest = sys.argv[1:]
    with open(report_path) as file:
        (cases,) = json.load(file).values()
    seen = {name: [case["behavior"], case["behaviorClose"], case["remoteCloseCode"]] for name, case in cases.items()}
    with open(expected_path) as file:
        expected = json.load(file)

    sections = defaultdict(Counter)
    for name, (behavior, closing, _) in seen.items():
        sections[int(name.split(".")[0])][behavior if behavior == closing else f"{behavior}, closing {closing}"] += 1
    for section in sorted(sections):
        counts = ", ".join(f"{count} {kind}" for kind, count in sections[section].most_common())
        print(f"  section {section:2}: {counts}")
    for name in sorted(seen, key=number):
        if seen[name][:2] != ["OK", "OK"] and seen[name][0] != "UNIMPLEMENTED":
            print(f"  {name}: {show(seen[name])}")

    if rest == ["--accept"]:
        expected[role] = {name: seen[name] for name in sorted(seen, key=number)}
        with open(expected_path, "w") as file:
            file.write(write(expected))
        print(f"wrote {len(seen)} cases to {expected_path}")
        return 0

    differing = [name for name in sorted(seen.keys() | expected[role].keys(), key=number)
                 if seen.get(name) != expected[role].get(name)]
    for name in differing:
        print(f"  {name}: expected {show(expected[role].get(name))}, seen {show(seen.get(name))}")
    matching = len(expected[role]) - len(differing)
    print(f"{role}: {len(seen)} cases, {len(differing)} differ from the expected results")
    print(f"{max(matching, 0)} passed, {len(differing)} failed")
    return 1 if differing else 0


def number(name):
    return [int(part) for part in name.split(".")]


def show(case):
    return "nothing" if case is None else f"{case[0]}, closing {case[1]}, code {case[2]}"


def write(expected):
    """Returns JSON with one line per case, so that a changed result is one line in a diff."""
    roles = []
    for role in sorted(expected):
        lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(case)}" for name, case in expected[role].items())
        roles.append(f"  {json.dumps(role)}: {{\n{lines}\n  }}")
    return "{\n" + ",\n".join(roles) + "\n}\n"


sys.exit(main())
