#!/usr/bin/env python3
"""Checks every #include and every linked library against the table of allowed arrows.

    check_arrows.py --root REPOSITORY --arrows arrows.txt

Prints one line for each forbidden arrow, as file:line: what, and exits with 1 if there are any.
Includes and links are read from the text, so the check needs no build. Tests may know everything
and are not checked.
"""

import argparse
import os
import re
import sys

TOP_ROOMS = ("proto", "aggregation", "models", "coordinator", "client", "scripts", "tests")
CHECKED = ("proto", "aggregation", "models", "coordinator", "client")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
CALL = re.compile(
    r"\b(muster_library|muster_binary|muster_proto_library|add_library|add_executable|"
    r"target_link_libraries)\s*\(([^()]*)\)")
FOLDERS = re.compile(r"\b(foreach|add_subdirectory)\s*\([^()]*\)")
GENERATED_ROOM = "proto/muster"


class TableError(Exception):
    """The table itself is wrong."""


def logical_lines(text):
    """(number, line) without comments; a line that starts with a blank continues the one before."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].rstrip()
        if line[:1] == " " and lines:
            lines[-1][1] += line
        elif line:
            lines.append([number, line])
    return lines


class Table:
    """arrows.txt: allowed rooms, rooms kept apart, external libraries, pure rooms."""

    def __init__(self, text):
        self.rooms, self.apart, self.external = {}, [], {}
        self.pure, self.avoid = [], []
        section = None
        for number, line in logical_lines(text):
            if line.startswith("["):
                section = line.strip("[]")
                continue
            self._read(section, line, number)
        self._check()

    def _read(self, section, line, number):
        if section == "apart":
            self.apart.append(tuple(line.split()))
            return
        key, colon, rest = line.partition(":")
        if not colon:
            raise TableError(f"line {number}: no ':' in {line!r}")
        words = rest.split()
        if section == "rooms":
            self.rooms[key.strip()] = set(words)
        elif section == "external":
            name, what = key.split()
            self.external.setdefault(name, {"include": [], "link": [], "rooms": []})[what] = words
        elif section == "pure" and key.strip() == "rooms":
            self.pure = words
        elif section == "pure" and key.strip() == "avoid":
            self.avoid = words
        else:
            raise TableError(f"line {number}: what is {line!r} in section {section}?")

    def _check(self):
        named = [(room, other) for room, others in self.rooms.items() for other in others]
        named += [("[pure]", room) for room in self.pure]
        named += [(name, room) for name, e in self.external.items() for room in e["rooms"]]
        for who, room in named:
            if room not in self.rooms:
                raise TableError(f"{who} names {room}, which is no room")
        for room in self.rooms:
            if room in self.reachable(room):
                raise TableError(f"arrows run in a circle through {room}")
        for one, other in self.apart:
            for room in self.rooms:
                for a, b in ((one, other), (other, one)):
                    if within(room, a):
                        for found in sorted(self.reachable(room)):
                            if within(found, b):
                                raise TableError(
                                    f"{room} reaches {found}, but {a} and {b} are apart")

    def reachable(self, room):
        seen, todo = set(), list(self.rooms[room])
        while todo:
            at = todo.pop()
            if at not in seen:
                seen.add(at)
                todo.extend(self.rooms.get(at, ()))
        return seen

    def room_of(self, path):
        """The room of a file or folder, by the longest match; None if it has none."""
        best = None
        for room in self.rooms:
            if within(path, room) and (best is None or len(room) > len(best)):
                best = room
        return best

    def allows(self, room, other):
        return room == other or other in self.rooms[room]


def within(path, folder):
    return path == folder or path.startswith(folder + "/")


def blank(match):
    """As many spaces and lines as were there, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", blank, text, flags=re.DOTALL)


def files_below(root, keep):
    for top in CHECKED:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if keep(name):
                    full = os.path.join(folder, name)
                    yield os.path.relpath(full, root), full


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def matches_include(pattern, included):
    if pattern.startswith("*"):
        return included.endswith(pattern[1:])
    return included.startswith(pattern)


def check_include(table, room, bracket, included):
    """What is wrong with one include of a file in `room`, or None."""
    for name, external in table.external.items():
        if any(matches_include(p, included) for p in external["include"]):
            if room not in external["rooms"]:
                return f"{room} must not include {name} (<{included}>)"
    if included.startswith("muster/"):
        target = GENERATED_ROOM
    elif bracket == "<":
        return None
    elif "/" not in included:
        return f"\"{included}\" is not written from the repository's root"
    elif included.split("/")[0] not in TOP_ROOMS:
        return None  # a library that is written with quotes, such as Abseil
    elif included.startswith("tests/"):
        return f"{room} must not include tests (\"{included}\")"
    else:
        target = table.room_of(included)
        if target is None:
            return f"\"{included}\" is in no room; give its folder a line in arrows.txt"
    if table.allows(room, target):
        return None
    return f"{room} must not include {target} (\"{included}\")"


def check_includes(table, root):
    sources = (".h", ".cc", ".cpp", ".hpp", ".in")
    for path, full in files_below(root, lambda name: name.endswith(sources)):
        room = table.room_of(path)
        text = strip_comments(read(full))
        for match in INCLUDE.finditer(text):
            where = f"{path}:{line_of(text, match.start())}"
            if room is None:
                yield f"{where}: is in no room; give its folder a line in arrows.txt"
                break
            problem = check_include(table, room, match.group(1), match.group(2))
            if problem:
                yield f"{where}: {problem}"


class Links:
    """The tree's targets: where each is defined, and what each links."""

    def __init__(self, table, root):
        self.home, self.links, self.mentions = {}, {}, []
        for path, full in files_below(root, lambda name: name == "CMakeLists.txt"):
            text = FOLDERS.sub(blank, re.sub(r"#[^\n]*", "", read(full)))
            room = table.room_of(os.path.dirname(path))
            for match in CALL.finditer(text):
                name, *words = match.group(2).split()
                if match.group(1) == "muster_proto_library":
                    self.home[name] = (path, GENERATED_ROOM)
                elif match.group(1) != "target_link_libraries":
                    self.home[name] = (path, room)
                    if "GRPC" in words:
                        words.append("gRPC::grpc++")
                self.links.setdefault(name, set()).update(words)
            for number, line in enumerate(text.splitlines(), 1):
                for word in re.findall(r"[\w$:{}+./-]+", line):
                    self.mentions.append((f"{path}:{number}", room, word))

    def reachable(self, target):
        seen, todo = set(), [target]
        while todo:
            at = todo.pop()
            if at not in seen:
                seen.add(at)
                todo.extend(self.links.get(at, ()))
        return seen


def external_of(table, word):
    for name, external in table.external.items():
        for pattern in external["link"]:
            if re.match(r"(\$\{)?" + re.escape(pattern) + r"(?![a-z])", word):
                return name
    return None


def check_links(table, root):
    links = Links(table, root)
    for where, room, word in links.mentions:
        _, target_room = links.home.get(word, (None, None))
        if room is None:
            if target_room is not None:
                yield f"{where}: is in no room; give its folder a line in arrows.txt"
            continue
        if target_room is not None and not table.allows(room, target_room):
            yield f"{where}: {room} must not link {word} of {target_room}"
        name = external_of(table, word)
        if name is not None and room not in table.external[name]["rooms"]:
            yield f"{where}: {room} must not link {name} ({word})"
    for target, (path, room) in sorted(links.home.items()):
        if room not in table.pure:
            continue
        for word in sorted(links.reachable(target)):
            name = external_of(table, word)
            if name in table.avoid:
                yield f"{path}:1: {target} of the pure room {room} reaches {name} ({word})"


def check(root, arrows):
    table = Table(read(arrows))
    if not any(files_below(root, lambda name: name == "CMakeLists.txt")):
        raise TableError(f"{root} has none of the rooms")
    return sorted(set(check_includes(table, root)) | set(check_links(table, root)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True)
    parser.add_argument("--arrows", required=True)
    options = parser.parse_args()
    try:
        problems = check(options.root, options.arrows)
    except TableError as error:
        problems = [f"{options.arrows}: {error}"]
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} forbidden arrows; {options.arrows} says what is allowed",
              file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
