"""Rules of the house that a reader would otherwise have to remember: purity of the core, words, lengths, broad excepts."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source import ROOT, Module, lies_in, listed, module, modules

MOST_LINES = 400  # beyond it a file certainly holds two jobs; from 250 on it usually does

# The only places that catch everything: the tops of threads, which report and end, and calls of a library without a root of its errors.
BROAD_EXCEPTS: frozenset[tuple[str, str]] = frozenset(
    {
        ("agent/drivers/order_thread.py", "_run"),
        ("agent/drivers/camera.py", "_read"),  # the thread that reads one opening of a camera
        ("agent/drivers/camera.py", "_run"),
        ("agent/drivers/control_socket.py", "_run"),
        ("agent/drivers/recognition.py", "_run"),
        ("agent/drivers/roster_loader.py", "_run"),
        ("agent/drivers/uplink.py", "_connect_once"),  # reports, ends this connection, and the thread makes another
        ("models/session.py", "__init__"),  # onnxruntime raises a dozen unrelated classes, all straight from Exception
        ("models/session.py", "_run"),  # the same, of a graph that fails on an input
    }
)

# The only files that start threads; docs/ARCHITECTURE.md gives the reason for each of the gate's.
THREADS = frozenset(
    {
        *("agent/drivers/camera.py", "agent/drivers/recognition.py", "agent/drivers/order_thread.py", "agent/drivers/uplink.py"),
        *("agent/drivers/roster_loader.py", "agent/drivers/control_socket.py"),
        *("agent/diagnostics/demo/play.py", "agent/diagnostics/bench/lane.py"),
        *("firmware_bridge/emulator/shell.py", "firmware_bridge/emulator/__main__.py"),
    }
)

# ISO/IEC 2382-37 and plain English. The second set counts only for files, classes and functions: a variable may hold a process of the
# system, or onnx's own `helper`.
NEVER = frozenset({"confidence", "accuracy"})
NEVER_FOR_WHAT_ACTS = NEVER | {
    *("handle", "handles", "handler", "process", "processes", "processor", "manage", "manages", "manager"),
    *("helper", "helpers", "util", "utils"),
}

# Names that a base class of the standard library imposes.
IMPOSED = frozenset({("firmware_bridge/emulator/__main__.py", "handle")})


# --- the core is pure -------------------------------------------------------------------------------------------------------------

_WORLDLY_CALLS = frozenset({"print", "open", "input", "eval", "exec", "compile", "globals", "__import__", "id"})
_CLOCK_READS = frozenset({"now", "utcnow", "today", "localtime", "astimezone"})  # of datetime; time itself cannot be imported there


def impurities(of: Module) -> Iterator[str]:
    for node in ast.walk(of.tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _WORLDLY_CALLS:
                yield f"{of.place}:{node.lineno}: calls {name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in _CLOCK_READS:
                yield f"{of.place}:{node.lineno}: reads a clock by .{name}()"
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield f"{of.place}:{node.lineno}: changes {', '.join(names)} outside of the function"
            case ast.AsyncFunctionDef() | ast.Await():
                yield f"{of.place}:{node.lineno}: is asynchronous"
            case _:
                pass


def test_the_core_reads_no_clock_and_touches_nothing_outside() -> None:
    faults = [fault for m in modules() if lies_in(m.name, "agent.core") for fault in impurities(m)]
    assert not faults, listed(faults)


@pytest.mark.parametrize("text", ["print(1)", "open('x')", "datetime.now()", "def f():\n    global n\n    n = 1", "async def f(): pass"])
def test_an_impurity_is_seen(text: str) -> None:
    assert len(list(impurities(module("agent.core.x", text)))) == 1


def test_every_value_of_the_core_is_frozen() -> None:
    loose = [
        f"{m.place}:{node.lineno}: {node.name}"
        for m in modules()
        if lies_in(m.name, "agent.core")
        for node in ast.walk(m.tree)
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
        if ast.unparse(decorator).startswith("dataclass")
        and not {"frozen=True", "slots=True"} <= set(re.split(r"[(), ]+", ast.unparse(decorator)))
    ]
    assert not loose, listed(loose)


# --- words ------------------------------------------------------------------------------------------------------------------------


def words(identifier: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", identifier)}


def wrong_words(of: Module) -> Iterator[str]:
    if bad := words(of.name) & NEVER_FOR_WHAT_ACTS:
        yield f"{of.place}: the file is called {', '.join(bad)}"
    for node in ast.walk(of.tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bad = words(name) & NEVER_FOR_WHAT_ACTS
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                bad = words(name) & NEVER
            case _:
                continue
        if bad and (of.place, name) not in IMPOSED:
            yield f"{of.place}:{node.lineno}: {name} says {', '.join(sorted(bad))}"


def test_names_are_the_words_of_the_field() -> None:
    faults = [fault for m in modules() for fault in wrong_words(m)]
    assert not faults, listed(faults)


@pytest.mark.parametrize(
    "text",
    ["def handle_frame(): pass", "class GateManager: pass", "def f(confidence): pass", "self.match_accuracy = 1", "def to_utils(): pass"],
)
def test_a_wrong_word_is_seen(text: str) -> None:
    assert len(list(wrong_words(module("agent.x", text)))) == 1


# --- one job per file -------------------------------------------------------------------------------------------------------------


def test_no_file_holds_two_jobs() -> None:
    long = [f"{m.place}: {m.lines} lines" for m in modules() if m.lines > MOST_LINES]
    assert not long, listed(long)


# --- broad excepts ----------------------------------------------------------------------------------------------------------------

_BROAD = frozenset({"Exception", "BaseException"})


def broad_excepts(of: Module) -> Iterator[tuple[str, str]]:
    """(file, function) of each except that keeps everything, and of each suppress(Exception); one that ends in `raise` is none."""

    def walk(node: ast.AST, function: str) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _names(node.type) & _BROAD) and not _raises(node):
            yield of.place, function
        if isinstance(node, ast.Call) and _names(node.func) & {"suppress"} and any(_names(a) & _BROAD for a in node.args):
            yield of.place, function
        for child in ast.iter_child_nodes(node):
            yield from walk(child, function)

    yield from walk(of.tree, "<module>")


def _raises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _names(node: ast.expr) -> set[str]:
    return {n.id if isinstance(n, ast.Name) else n.attr for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute)}


def test_only_the_top_of_a_thread_catches_everything() -> None:
    found = {place for m in modules() for place in broad_excepts(m)}
    unlike = sorted(found ^ BROAD_EXCEPTS)
    assert not unlike, listed(unlike)


@pytest.mark.parametrize(
    "text",
    [
        "try: f()\nexcept Exception: pass",
        "try: f()\nexcept (OSError, BaseException): pass",
        "try: f()\nexcept: pass",
        "with contextlib.suppress(Exception): f()",
    ],
)
def test_a_broad_except_is_seen(text: str) -> None:
    assert list(broad_excepts(module("agent.x", text))) == [("agent/x.py", "<module>")]


# --- threads ----------------------------------------------------------------------------------------------------------------------


def starts_threads(of: Module) -> bool:
    made = {"Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor", "start_new_thread", "loop_start", "create_task"}
    return any(isinstance(node, ast.Call) and _names(node.func) & made for node in ast.walk(of.tree))


def test_threads_are_started_only_where_they_are_owned() -> None:
    unlike = sorted({m.place for m in modules() if starts_threads(m)} ^ THREADS)
    assert not unlike, listed(unlike)


def test_every_thread_of_the_gate_is_in_the_architecture_page() -> None:
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    names = {
        node.value.value
        for m in modules()
        if lies_in(m.name, "agent.drivers")
        for node in ast.walk(m.tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "name" and isinstance(node.value, ast.Constant)
    }
    assert "gate-barrier" in names
    assert {name for name in names if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("text", ["threading.Thread(target=f)", "Timer(1, f)", "client.loop_start()"])
def test_a_thread_is_seen(text: str) -> None:
    assert starts_threads(module("agent.x", text))
