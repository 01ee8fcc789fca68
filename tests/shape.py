#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the shape of src/: how many files, lines and functions, how long
they are, how many private functions have one caller, which private names
stand in several files, which files of a room include each other in a circle,
and how rooms look at each other. For people; no verdict.

    tests/shape.py [--once [PART]] [TREE]

--once lists, file by file, the private functions that are mentioned once
beside their definition, with their length: "*" marks those whose address is
taken (a row of a table, a thing to be called later), which are not folded by
hand. PART: only files whose name has it.
"""

import argparse
import collections
import pathlib
import re
import statistics

TOP = pathlib.Path(__file__).resolve().parent.parent
COMMENT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                     re.S)


def bare(text):
    """Without comments and strings, lines kept."""
    return COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def functions(text):
    """(name, private, lines) of each function: a brace in the first column
    opens it, after the lines of its head."""
    lines = text.split("\n")
    for start, line in enumerate(lines):
        if line != "{":
            continue
        first = start - 1
        while first > 0 and lines[first] and lines[first - 1] and \
                not re.search(r"[;}]\s*$|^\s*#", lines[first - 1]):
            first -= 1
        head = " ".join(lines[first:start])
        name = re.search(r"(\w+)\s*\(", re.sub(
            r"__attribute__\s*\(\(.*?\)\)", "", head))
        end = next(i for i in range(start, len(lines)) if lines[i] == "}")
        if name:
            yield name.group(1), "static" in head.split("(")[0].split(), \
                end - first + 1


def circles(graph):
    """Strongly connected sets of more than one node."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = []
            while True:
                part.append(stack.pop())
                if part[-1] == node:
                    break
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def uses(texts):
    """Which file calls a function that another file of its room defines."""
    home, graph = {}, collections.defaultdict(set)
    for name, text in texts.items():
        for function, private, _ in functions(text):
            if not private:
                home[function] = name
    for name, text in texts.items():
        for word in set(re.findall(r"\b(\w+)\b", text)):
            where = home.get(word)
            if where and where != name and \
                    pathlib.Path(where).parent == pathlib.Path(name).parent:
                graph[name].add(where)
    return graph


def once(text):
    """(name, lines, called) of each private function that is mentioned once
    beside its definition; not called: its address is taken there."""
    for function, private, lines in functions(text):
        if private and len(re.findall(rf"\b{function}\b", text)) == 2:
            yield function, lines, len(re.findall(rf"\b{function}\s*\(",
                                                  text)) == 2


def list_once(sources, part):
    for name, text in sources.items():
        found = [f"{function} {lines}{'' if called else '*'}"
                 for function, lines, called in once(text)]
        if found and part in name:
            print(f"{name} ({len(text.splitlines())} lines, {len(found)}):",
                  ", ".join(found))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--once", metavar="PART", nargs="?", const="")
    arguments.add_argument("tree", nargs="?", type=pathlib.Path, default=TOP)
    arguments = arguments.parse_args()
    src = arguments.tree / "src"
    paths = sorted(src.rglob("*.[ch]"))
    texts = {str(p.relative_to(src)): bare(p.read_text("utf-8"))
             for p in paths}
    sources = {n: t for n, t in texts.items() if n.endswith(".c")}
    if arguments.once is not None:
        list_once(sources, arguments.once)
        return
    lengths, private, longest = [], collections.defaultdict(list), (0, "", "")
    mentioned = called = 0
    for name, text in sources.items():
        for function, static, lines in functions(text):
            lengths.append(lines)
            longest = max(longest, (lines, function, name))
            if static:
                private[function].append(name)
        for _, _, by_name in once(text):
            mentioned += 1
            called += by_name
    total = sum(len(v) for v in private.values())
    several = {k: set(v) for k, v in private.items() if len(set(v)) > 1}
    print(f"files: {len(sources)} .c, {len(texts) - len(sources)} .h")
    print("lines:", sum(len(p.read_text("utf-8").splitlines())
                        for p in paths))
    lengths.sort()
    print(f"functions: {len(lengths)}, median "
          f"{statistics.median(lengths):.0f}, p90 "
          f"{lengths[int(len(lengths) * .9)]}, longest {longest[0]} "
          f"({longest[1]}, {longest[2]})")
    print(f"private functions: {total}, mentioned once beside their "
          f"definition: {mentioned} "
          f"({100 * mentioned // max(total, 1)} %), of which called by name: "
          f"{called} ({100 * called // max(total, 1)} %)")
    print(f"private names in several files: {len(several)}, "
          f"{sum(len(v) for v in several.values())} functions")
    loops = circles(uses(sources))
    print(f"circles of files within a room: {len(loops)}")
    for loop in loops:
        print("   ", " ".join(loop))
    arrows = collections.Counter()
    for path in paths:
        here = path.relative_to(src).parts[0]
        for there in re.findall(r'#\s*include\s+"(\w+)/',
                                path.read_text("utf-8")):
            if there != here:
                arrows[here, there] += 1
    print("includes between rooms:")
    for (here, there), n in sorted(arrows.items()):
        print(f"    {here} -> {there}: {n}")


if __name__ == "__main__":
    main()
