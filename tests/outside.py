"""The links of the built site: those inside are followed, those outside listed, or tried.

    python make.py links
    python make.py links --outside

A link outside is dead if its host says so (404, 410), or has no address. What a host will not tell
a program (403, 429, a broken answer) is named and does not count. Where no host at all has an
address there is no network, and nothing is counted.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import re
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from html import unescape
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
DEAD = (404, 410)
PATIENCE = 20  # seconds for one answer
PAUSE = 1.0  # seconds between two questions to one host
AGENT = "Mozilla/5.0 (compatible; link check of The Dynamics of Learning)"
ALIVE, UNKNOWN, GONE, NOWHERE = "alive", "will not say", "dead", "no address"


def outside_links(pages: Mapping[str, str]) -> dict[str, list[str]]:
    """The addresses on other hosts that pages link to, each with those pages.

    >>> outside_links({"a.html": '<a class="x" href="https://e.org/?a=1&amp;b=2#there">e</a>'})
    {'https://e.org/?a=1&b=2': ['a.html']}
    """
    found: dict[str, list[str]] = {}
    for name, text in pages.items():
        for address in re.findall(r'<a\s[^>]*?href="(https?://[^"]*)"', text):
            there = found.setdefault(urldefrag(unescape(address)).url, [])
            if name not in there:
                there.append(name)
    return dict(sorted(found.items()))


def ask(address: str, patience: float = PATIENCE) -> tuple[str, str]:
    """What has become of an address: one of ALIVE, UNKNOWN, GONE, NOWHERE, and why."""
    for method in ("HEAD", "GET"):
        request = urllib.request.Request(address, method=method, headers={"User-Agent": AGENT})
        try:
            with urllib.request.urlopen(request, timeout=patience) as answer:
                return ALIVE, str(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            said = GONE if error.code in DEAD else UNKNOWN, str(error.code)
        except urllib.error.URLError as error:
            unresolved = isinstance(error.reason, socket.gaierror)
            said = NOWHERE if unresolved else UNKNOWN, str(error.reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            said = UNKNOWN, f"{type(error).__name__}: {error}"
        if said[0] == NOWHERE:
            break
    return said


def ask_all(
    addresses: Iterable[str],
    asker: Callable[[str], tuple[str, str]] = ask,
    pause: float = PAUSE,
) -> dict[str, tuple[str, str]]:
    """Ask for every address; one question at a time to one host, a few hosts at once."""
    hosts: dict[str, list[str]] = {}
    for address in addresses:
        hosts.setdefault(urlsplit(address).netloc, []).append(address)

    def one_host(mine: list[str]) -> list[tuple[str, tuple[str, str]]]:
        answers = []
        for number, address in enumerate(mine):
            if number:
                time.sleep(pause)
            answers.append((address, asker(address)))
        return answers

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = dict(pair for pairs in pool.map(one_host, hosts.values()) for pair in pairs)
    return dict(sorted(found.items()))


def report(links: Mapping[str, list[str]], answers: Mapping[str, tuple[str, str]]) -> int:
    """Say what was found; the exit status."""
    if answers and all(verdict == NOWHERE for verdict, _ in answers.values()):
        print("No host has an address: there is no network here. The links were not tried.")
        return 0
    bad = 0
    for address, (verdict, why) in answers.items():
        if verdict != ALIVE:
            print(f"  {verdict} ({why}): {address}, from {', '.join(links[address][:3])}")
        bad += verdict in (GONE, NOWHERE)
    alive = sum(verdict == ALIVE for verdict, _ in answers.values())
    print(f"{alive} of {len(answers)} links outside are alive, {bad} dead.")
    return 1 if bad else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Follow the links of the built site.")
    parser.add_argument("--outside", action="store_true", help="try the links to other hosts too")
    chosen = parser.parse_args(arguments)
    if not (SITE / "index.html").is_file():
        print("There is no site in _build/html; build it first: python make.py build")
        return 1
    from tests.test_site import link_problems, pages_of

    problems = link_problems(SITE)
    for problem in problems:
        print(f"  {problem}")
    decks = (path.relative_to(SITE).as_posix() for path in SITE.glob("slides/*.html"))
    names = [*pages_of(SITE), *sorted(decks)]
    links = outside_links({name: (SITE / name).read_text("utf-8") for name in names})
    hosts = {urlsplit(address).netloc for address in links}
    print(f"{len(names)} pages; {len(problems)} links inside lead nowhere.")
    if not chosen.outside:
        for address in links:
            print(f"  {address}")
        print(f"{len(links)} links lead to {len(hosts)} other hosts; --outside tries them.")
        return 1 if problems else 0
    print(f"Trying {len(links)} links to {len(hosts)} other hosts ...", flush=True)
    return report(links, ask_all(links)) or (1 if problems else 0)


if __name__ == "__main__":
    sys.exit(main())
