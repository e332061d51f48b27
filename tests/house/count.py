#!/usr/bin/env python3
"""Counts what can be counted of a checkout's shape: files, functions, names, circles, parameters, documents, commits.

    python3 tests/house/count.py [CHECKOUT] [--json] [--long]

Needs nothing but Python and git. CHECKOUT may be a worktree of an old commit, so that before and after are counted
alike. Production code is what lies in `crates/*/src`, with everything behind `#[cfg(test)]` left out; comments and
blank lines count as lines. `--long` names the files behind each figure. Definitions stand beside each function.
"""

import argparse
import collections
import json
import math
import pathlib
import re
import subprocess
import sys

SINCE = "d26a814"
TYPE = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:unsafe\s+)?(?:struct|enum|trait|union)\s+([A-Z]\w*)", re.M)
ALIAS = re.compile(r"^(?:pub(?:\([^)]*\))?\s+)?type\s+([A-Z]\w*)", re.M)
ITEM = re.compile(
    r"(?:\s|#\[[^\]]*\]|pub(?:\([^)]*\))?\b|unsafe\b|const\b)*"
    r"(?:fn|mod|use|struct|enum|trait|impl|type|static|macro_rules)\b"
)
FUNCTION = re.compile(r"\bfn\s+(\w+)")
# Reading the log back, by whatever name: the store's functions, or records parsed line by line.
LOG_READING = re.compile(
    r"(?<!fn )\b(?:run_events|run_event_lines)\b\(|(?:from_str|from_slice)::<EventRecord>"
    r"|Option<EventRecord>"
)
# A pattern on what became of a run or a stage.
LOG_FOLD = re.compile(
    r"\bEvent::(?:RunStarted|RunFinished|StageReused|StageFinished|StageFailed)\b[^;=]*?"
    r"(?:=>|\bif\b|\))",
    re.S,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkout", nargs="?", default=".", type=pathlib.Path)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a text")
    parser.add_argument("--long", action="store_true", help="name the files behind each figure")
    options = parser.parse_args()
    top = pathlib.Path(git(options.checkout, "rev-parse", "--show-toplevel").strip())
    figures = count(top)
    print(json.dumps(figures, indent=1) if options.json else "\n".join(as_text(figures, options.long)))


def count(top):
    tracked = git(top, "ls-files", "-z").split("\0")
    sources = [Source(top, path) for path in tracked if is_production(path) and (top / path).is_file()]
    sources = [source for source in sources if not source.is_test(sources)]
    functions = [function for source in sources for function in source.functions()]
    documents = [path for path in tracked if path.endswith(".md") and (top / path).is_file()]
    return {
        "commit": git(top, "log", "-1", "--format=%h %s").strip(),
        "crates": crates(sources),
        "file_lines": spread([source.n_lines for source in sources]),
        "files_up_to_68_lines": sum(source.n_lines <= 68 for source in sources),
        "longest_files": [f"{s.n_lines} {s.path}" for s in sorted(sources, key=lambda s: -s.n_lines)[:8]],
        "function_lines": spread([function.n_lines for function in functions]),
        "longest_functions": [f.show() for f in sorted(functions, key=lambda f: -f.n_lines)[:8]],
        "shared_type_names": shared_type_names(sources),
        "circles": circles(sources, edges),
        "circles_beyond_children": circles(sources, edges_beyond_children),
        "over_5_params": [f.show() for f in functions if f.n_params > 5],
        "bool_params": [f.show() for f in functions if f.n_bools > 0],
        "log_readings": files_with(sources, LOG_READING),
        "log_folds": files_with(sources, LOG_FOLD),
        "long_document_lines": long_lines(top, documents),
        "sentences": {name: sentences(top / name) for name in ("README.md", "ARCHITECTURE.md")},
        "long_subjects": [s for s in git(top, "log", "--format=%s", f"{SINCE}..HEAD").splitlines() if len(s) > 72],
        "n_commits": len(git(top, "log", "--format=%s", f"{SINCE}..HEAD").splitlines()),
    }


def is_production(path):
    parts = path.split("/")
    return path.endswith(".rs") and parts[0] == "crates" and len(parts) > 3 and parts[2] == "src"


class Source:
    """A file of Rust: as it is, and as code, with tests, comments and literals blanked out, line by line alike."""

    def __init__(self, top, path):
        self.path = path
        self.crate = path.split("/")[1]
        text = (top / path).read_text(encoding="utf-8")
        code = without_comments_and_literals(text)
        self.code, self.n_lines = without_tests(code)
        self.module = module_of(path)

    def is_test(self, sources):
        """True if the file is a module that its parent declares behind `#[cfg(test)]` only."""
        *parents, name = self.module or ("",)
        owner = next((s for s in sources if s.crate == self.crate and s.module == tuple(parents)), None)
        return bool(self.module) and owner is not None and not re.search(rf"\bmod\s+{name}\b", owner.code)

    def functions(self):
        for found in FUNCTION.finditer(self.code):
            opening = after_generics(self.code, found.end())
            if opening is None:
                continue
            closing = matching(self.code, opening)
            body = re.compile(r"[{;]").search(self.code, after_types(self.code, closing))
            if body and body.group() == "{":
                params = self.code[opening + 1 : closing - 1]
                n_lines = self.code.count("\n", found.start(), matching(self.code, body.start())) + 1
                line = self.code.count("\n", 0, found.start()) + 1
                yield Function(self.path, line, found.group(1), n_lines, params)


class Function:
    """A function with a body. `self` is no parameter."""

    def __init__(self, path, line, name, n_lines, params):
        params = [param.strip() for param in split_at_commas(params)]
        params = [p for p in params if p and not re.fullmatch(r"&?\s*(?:'\w+\s+)?(?:mut\s+)?self(?:\s*:.*)?", p, re.S)]
        self.path, self.line, self.name, self.n_lines = path, line, name, n_lines
        self.n_params = len(params)
        self.n_bools = sum(bool(re.search(r":\s*(?:Option<)?bool>?$", param)) for param in params)

    def show(self):
        return f"{self.path}:{self.line} {self.name} ({self.n_lines} lines, {self.n_params} params)"


def without_comments_and_literals(text):
    """The text with comments, strings and characters replaced by blanks; line feeds stay."""
    token = re.compile(
        r"//[^\n]*|/\*.*?\*/|b?r(#*)\".*?\"\1|b?\"(?:\\.|[^\"\\])*\"|b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\\n])'", re.S
    )
    return token.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def without_tests(code):
    """The code without items, variants and arms behind `#[cfg(test)]`, and the number of lines that are left."""
    n_lines = code.count("\n")
    for found in reversed(list(re.finditer(r"#\[cfg\((?:all\()?test\b[^\]]*\]", code))):
        item = code[found.start() : end_of_item(code, found.end())]
        n_lines -= item.count("\n") + 1
        code = code[: found.start()] + re.sub(r"[^\n]", " ", item) + code[found.start() + len(item) :]
    return code, n_lines


def end_of_item(code, at):
    """The end of what an attribute that ends at `at` belongs to: an item, or a variant or an arm with its comma."""
    ends_at_comma = not ITEM.match(code, at)
    while found := re.compile(r"[\[({;,}]").search(code, at):
        sign = found.group()
        if sign == "}":
            return found.start()
        if sign == ";" or (sign == "," and ends_at_comma):
            return found.end()
        at = matching(code, found.start()) if sign in "[({" else found.end()
        if sign == "{":
            return at
    return len(code)


def matching(code, start):
    """The place after the bracket that closes the one at `start`."""
    depth = 0
    for found in re.compile(r"[(){}\[\]]").finditer(code, start):
        depth += 1 if found.group() in "({[" else -1
        if depth == 0:
            return found.end()
    return len(code)


def after_generics(code, start):
    """The place of the `(` of a function's parameters, past `<…>` with closures' parentheses and arrows in it."""
    depth = 0
    for found in re.compile(r"->|[<>(;{]").finditer(code, start):
        if found.group() == "<":
            depth += 1
        elif found.group() == ">":
            depth -= 1
        elif found.group() == "(" and depth == 0:
            return found.start()
        elif found.group() in ";{":
            return None
    return None


def after_types(code, start):
    """The place at which a body or a `;` may stand: past array types such as `[u8; 4]` in the returned type."""
    at = start
    while (found := re.compile(r"[\[{;]").search(code, at)) and found.group() == "[":
        at = matching(code, found.start())
    return at


def split_at_commas(text):
    """The parts between commas that stand in no bracket."""
    parts, depth, last = [], 0, 0
    for found in re.finditer(r"->|=>|[()\[\]{}<>,]", text):
        if found.group() in ("(", "[", "{", "<"):
            depth += 1
        elif found.group() in (")", "]", "}", ">"):
            depth -= 1
        elif found.group() == "," and depth == 0:
            parts.append(text[last : found.start()])
            last = found.end()
    return parts + [text[last:]]


def module_of(path):
    """The module of a file below `src`: `()` for `lib.rs` and `main.rs`, `("a", "b")` for `a/b.rs` and `a/b/mod.rs`."""
    parts = path.split("/")[3:]
    parts[-1] = parts[-1][:-3]
    return tuple(parts[:-1]) if parts[-1] in ("mod", "lib", "main") else tuple(parts)


def crates(sources):
    by_crate = collections.defaultdict(list)
    for source in sources:
        by_crate[source.crate].append(source.n_lines)
    return {crate: {"files": len(lines), "lines": sum(lines), **spread(lines)} for crate, lines in by_crate.items()}


def spread(values):
    """Median, 90th percentile (nearest rank) and maximum."""
    values = sorted(values) or [0]
    rank = lambda share: values[max(0, math.ceil(share * len(values)) - 1)]
    return {"n": len(values), "median": rank(0.5), "p90": rank(0.9), "max": values[-1]}


def shared_type_names(sources):
    """Names of structs, enums, traits, unions and free aliases that more than one file of the workspace defines."""
    where = collections.defaultdict(set)
    for source in sources:
        for name in TYPE.findall(source.code) + ALIAS.findall(source.code):
            where[name].add(source.path)
    return {name: sorted(paths) for name, paths in sorted(where.items()) if len(paths) > 1}


def circles(sources, edges):
    """Sets of files of one crate of which each leads to each other by paths that start at `crate`, `super` or `self`.

    A name leads to the file that defines it, through `pub use`. Declaring or re-exporting a module is no edge.

    They are counted twice. A module that calls its own child, which uses the types of the module, is a circle of two
    files and yet one thing in two parts: the child is private to it and nobody else has to read it. The second count
    leaves out what leads from a child up to its module. What leads to the root of the crate stays: it is no part.
    """
    found = []
    for crate in sorted({source.crate for source in sources}):
        files = {source.module: source for source in sources if source.crate == crate}
        exports = {module: re_exports(files, module) for module in files}
        graph = {module: edges(files, exports, module) for module in files}
        for circle in strongly_connected(graph):
            found.append(sorted(files[module].path for module in circle))
    return sorted(found)


def use_paths(code):
    """Every path of every `use` as `(is_public, segments, name)`, trees taken apart."""
    for is_public, tree in re.findall(r"(\bpub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);", code):
        yield from ((bool(is_public), path, name) for path, name in leaves(re.sub(r"\s+", " ", tree).strip(), ()))


def leaves(tree, prefix):
    brace = tree.find("{")
    if brace < 0:
        path, _, name = tree.partition(" as ")
        segments = prefix + tuple(part.strip() for part in path.split("::") if part.strip())
        segments = segments[:-1] if segments[-1:] == ("self",) and len(segments) > 1 else segments
        yield segments, name.strip() or segments[-1]
        return
    head = prefix + tuple(part.strip() for part in tree[:brace].split("::") if part.strip())
    for part in split_at_commas(tree[brace + 1 : tree.rindex("}")]):
        if part.strip():
            yield from leaves(part.strip(), head)


def re_exports(files, module):
    return {name: path for is_public, path, name in use_paths(files[module].code) if is_public}


def edges(files, exports, module):
    code = files[module].code
    paths = [path for is_public, path, _ in use_paths(code) if not is_public]
    rest = re.sub(r"\buse\s+[^;]+;", " ", code)
    paths += [tuple(re.split(r"\s*::\s*", path)) for path in re.findall(r"\b(?:crate|super|self)(?:::\w+)+", rest)]
    # A call such as `child::compute()` needs no `use` where the child is declared.
    children = [target[-1] for target in files if target and target[:-1] == module]
    paths += [("self", child) for child in children if re.search(rf"(?<![:\w]){child}::\w", rest)]
    paths += [("self",) + path for path in paths if path and path[0] in children]
    reached = {resolve(files, exports, module, path, 0) for path in paths}
    return {target for target in reached if target is not None and target != module}


def edges_beyond_children(files, exports, module):
    """The edges of a module but for those to the modules that it is a part of."""
    return {target for target in edges(files, exports, module) if not target or module[: len(target)] != target}


def resolve(files, exports, module, path, n_hops):
    """The file that a path leads to, as seen from `module`; nothing for a path into another crate."""
    if path and path[0] in ("crate", "self", "super"):
        at = () if path[0] == "crate" else module
        while path and path[0] in ("crate", "self", "super"):
            at = at[:-1] if path[0] == "super" else at
            path = path[1:]
    elif path and module + path[:1] in files:
        at = module
    else:
        return None
    while path:
        if at + path[:1] in files:
            at, path = at + path[:1], path[1:]
        elif at in files and path[0] in exports[at] and n_hops < 8:
            onward = resolve(files, exports, at, exports[at][path[0]], n_hops + 1)
            return at if onward is None else onward
        else:
            break
    return at if at in files else None


def strongly_connected(graph):
    """Components of more than one module: those that reach each other."""
    reach = {}
    for start in graph:
        seen, ahead = set(), list(graph[start])
        while ahead:
            module = ahead.pop()
            if module not in seen:
                seen.add(module)
                ahead.extend(graph[module])
        reach[start] = seen
    left, components = set(graph), []
    while left:
        start = min(left)
        component = {other for other in reach[start] if start in reach[other]} | {start}
        left -= component
        if len(component) > 1:
            components.append(component)
    return components


def files_with(sources, pattern):
    """How often a pattern occurs in each file of production code that has it and knows `Event`s of a run."""
    counts = {s.path: len(pattern.findall(s.code)) for s in sources if s.crate != "pipeline-spec"}
    return {path: n for path, n in counts.items() if n}


def long_lines(top, documents):
    """Lines of more than 120 characters by document, tables and code blocks included."""
    counts = {}
    for path in documents:
        text = (top / path).read_text(encoding="utf-8")
        counts[path] = sum(len(line) > 120 for line in text.splitlines())
    return {path: n for path, n in counts.items() if n}


def sentences(path):
    """Words of the sentences of a document's prose: without headings, tables and code blocks; inline code is a word."""
    if not path.is_file():
        return spread([])
    text = re.sub(r"^```.*?^```", "\n", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    text = re.sub(r"^(?:#|\||<).*$", "\n", text, flags=re.M)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", text))
    paragraphs = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.)\s", "\n" + text)
    lengths = []
    for paragraph in paragraphs:
        for sentence in re.split(r"(?<=[.!?])[)*]*\s+", " ".join(paragraph.split())):
            words = re.findall(r"\w[\w'’./-]*", sentence)
            lengths += [len(words)] if words else []
    figures = spread(lengths)
    return {**figures, "mean": round(sum(lengths) / max(1, len(lengths)), 1), "over_25": sum(n > 25 for n in lengths)}


def as_text(figures, is_long):
    yield f"commit                         {figures['commit']}"
    yield "crate                  files   lines  median   p90   max"
    for crate, row in figures["crates"].items():
        yield f"{crate:22} {row['files']:5} {row['lines']:7} {row['median']:7} {row['p90']:5} {row['max']:5}"
    yield f"lines of files                 {show(figures['file_lines'])}"
    yield f"files of at most 68 lines      {figures['files_up_to_68_lines']}"
    yield f"lines of functions             {show(figures['function_lines'])}"
    yield f"type names in several files    {len(figures['shared_type_names'])}"
    for title, name in (
        ("circles between files", "circles"),
        ("  beyond modules and parts", "circles_beyond_children"),
    ):
        yield f"{title:30} {len(figures[name])}, {sum(map(len, figures[name]))} files"
    yield f"functions with over 5 params   {len(figures['over_5_params'])}"
    yield f"functions with bool params     {len(figures['bool_params'])}"
    yield f"places that read the log       {sum(figures['log_readings'].values())} in {len(figures['log_readings'])} files"
    yield f"files that match on fates      {len(figures['log_folds'])}"
    yield f"document lines over 120        {sum(figures['long_document_lines'].values())}"
    for name, words in figures["sentences"].items():
        yield (
            f"words a sentence, {name:12} mean {words['mean']}, p90 {words['p90']}, max {words['max']}, "
            f"{words['over_25']} of {words['n']} over 25"
        )
    yield f"subjects over 72 since {SINCE} {len(figures['long_subjects'])} of {figures['n_commits']}"
    if is_long:
        for name in (
            "longest_files",
            "longest_functions",
            "over_5_params",
            "bool_params",
            "circles",
            "circles_beyond_children",
            "shared_type_names",
            "log_readings",
            "log_folds",
            "long_document_lines",
            "long_subjects",
        ):
            yield f"\n{name}"
            rows = figures[name]
            yield from (f"  {row}: {rows[row]}" if isinstance(rows, dict) else f"  {row}" for row in rows)


def show(figures):
    return f"median {figures['median']}, p90 {figures['p90']}, max {figures['max']} (n {figures['n']})"


def git(folder, *words):
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
