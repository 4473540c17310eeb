"""A pickle reader that cannot run code: a stack machine of its own over the opcodes of `pickletools`.

Python's unpickler looks names up by import and calls what it finds. This one never imports and never looks an
attribute up: a global is a key of a table, the table's values are builders written in this package, and a key that is
not in the table ends the reading. `pickletools.genops` only splits the bytes into opcodes. Every number that the
file states (lengths, shapes, counts) is checked against the bytes that are there before anything is allocated.
"""
from __future__ import annotations

import contextlib
import io
import mmap
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CoModError

MAX_OPCODES = 1_000_000
"""More than ten times what the largest published checkpoint needs (its numbers are few and large)."""
SPARE_BYTES = 1 << 26
"""What a file may unfold to beyond four times its own size, in bytes."""
BROKEN = (ValueError, TypeError, LookupError, AttributeError, OverflowError, EOFError, RuntimeError, MemoryError)
"""What Python, numpy and torch raise on inconsistent content."""


@contextlib.contextmanager
def damage_named(place: str, kind: str, *more: type[Exception]) -> Iterator[None]:
    """Within the block, what inconsistent content raises becomes a CoModError: `place`: damaged or not `kind`."""
    try:
        yield
    except CoModError:
        raise
    except (*BROKEN, *more) as problem:
        raise CoModError(f"{place}: damaged, cut short or not {kind} ({str(problem)[:200]}). The file was not loaded "
                         "and nothing in it was run.") from problem


@dataclass
class Allowance:
    """What reading one file may cost, files embedded in it included: opcodes, and bytes of numbers and text made."""
    bytes: int
    opcodes: int = MAX_OPCODES

    @classmethod
    def of(cls, size: int) -> Allowance:
        """The allowance of a file of `size` bytes."""
        return cls(4 * size + SPARE_BYTES)


@dataclass(eq=False)
class Record:
    """An object of a class that is known by name only. Nothing of the class itself is loaded or run.

    `args` are the arguments of its construction, `state` what the file gave as its state (for the classes read
    here: a dict).
    """
    module: str
    name: str
    args: tuple = ()
    state: Any = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        """The entry `key` of the state, or `default` where there is none."""
        return self.state.get(key, default) if isinstance(self.state, dict) else default


@dataclass(frozen=True, eq=False)
class Global:
    """An allowed name in a file. `build(machine, args)` makes the inert stand-in; None: the name only marks a type."""
    module: str
    name: str
    build: Callable[[Machine, tuple], Any] | None = None


Builders = Mapping[tuple[str, str], Callable[["Machine", tuple], Any] | None]
Setters = Mapping[type, Callable[["Machine", Any, Any], None]]


class Machine:
    """Reads one pickle from `stream` (a file-like object that gives at most the bytes it has).

    place: how error messages call the file. allowance: what its reading may cost, shared with embedded files.
    globals: the table of allowed names. setters: which values besides Record take a state (opcode BUILD), and how.
    persistent: what a persistent id stands for (torch files), or None. objects: whether a numpy array may hold
    Python objects (`.npy` files that hold a dict). nested: whether this is a file inside a file.
    """

    def __init__(self, stream: io.BufferedIOBase | mmap.mmap, place: str, allowance: Allowance,
                 globals: Builders, setters: Setters, persistent: Callable[[Machine, Any], Any] | None = None,
                 objects: bool = False, nested: bool = False):
        self.stream, self.place, self.allowance, self.globals, self.setters = stream, place, allowance, globals, setters
        self.persistent, self.objects, self.nested = persistent, objects, nested
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def error(self, what: str) -> CoModError:
        """A CoModError that names the file."""
        return CoModError(f"{self.place}: {what}. The file was not loaded and nothing in it was run.")

    def spend(self, count: int) -> None:
        """Count bytes that the file asks for; more than its size allows is an attack or damage."""
        self.allowance.bytes -= count
        if count < 0 or self.allowance.bytes < 0:
            raise self.error("it unfolds to far more data than it holds")

    def run(self) -> Any:
        """The object that the pickle describes. Raises CoModError."""
        with damage_named(self.place, "a pickle"):
            return self._run()

    def _run(self) -> Any:
        for opcode, argument, _ in pickletools.genops(self.stream):
            self.allowance.opcodes -= 1
            if self.allowance.opcodes < 0:
                raise self.error(f"more than {MAX_OPCODES} opcodes")
            if opcode.name == "STOP":
                break
            step = _STEPS.get(opcode.name)
            if step is None:
                raise self.error(f"opcode {opcode.name} is not allowed")
            step(self, argument)
        if len(self.stack) != 1 or self.marks:
            raise self.error("damaged: it does not end with one object")
        return self.stack.pop()

    def lookup(self, module: Any, name: Any) -> Global:
        """The allowed global of that name."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.error("a global whose name is not text")
        if (module, name) not in self.globals:
            raise self.error(f"it asks for {f'{module[:80]}.{name[:80]}'!r}, which is not on the list of allowed names")
        return Global(module, name, self.globals[module, name])

    def pop_mark(self) -> list[Any]:
        """The items since the last MARK."""
        items, self.stack = self.stack, self.marks.pop()
        return items


def _push(machine: Machine, value: Any) -> None:
    machine.stack.append(value)


def _pop(machine: Machine, _: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _mark(machine: Machine, _: Any) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _put(machine: Machine, index: int) -> None:
    if index < 0:
        raise machine.error("a negative memo index")
    machine.memo[index] = machine.stack[-1]


def _get(machine: Machine, index: int) -> None:
    if index not in machine.memo:
        raise machine.error(f"damaged: it refers to memo entry {index}, which was never stored")
    machine.stack.append(machine.memo[index])


def _memoize(machine: Machine, _: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _short_tuple(length: int) -> Callable[[Machine, Any], None]:
    def step(machine: Machine, _: Any) -> None:
        if len(machine.stack) < length:
            raise machine.error("damaged: too few items for a tuple")
        machine.stack[-length:] = [tuple(machine.stack[-length:])]
    return step


def check_key(machine: Machine, key: Any) -> Any:
    """A dict key or set item: text, bytes, None or an integer. Nested tuples would hash in exponential time."""
    if key is None or isinstance(key, (str, bytes)) or (isinstance(key, int) and abs(key) < 1 << 60):
        return key
    raise machine.error(f"a key of type {type(key).__name__} in a dict or set")


def fill_dict(machine: Machine, target: Any, items: list[Any]) -> None:
    """Put alternating keys and values into a plain dict."""
    if type(target) not in (dict, OrderedDict) or len(items) % 2:
        raise machine.error(f"items are set on a {type(target).__name__}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[check_key(machine, key)] = value


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    fill_dict(machine, machine.stack[-1], [key, value])


def _set_items(machine: Machine, _: Any) -> None:
    items = machine.pop_mark()
    fill_dict(machine, machine.stack[-1], items)


def _make_dict(machine: Machine, _: Any) -> None:
    items = machine.pop_mark()
    made: dict = {}
    fill_dict(machine, made, items)
    machine.stack.append(made)


def _extend(machine: Machine, items: list[Any]) -> None:
    if type(machine.stack[-1]) is not list:
        raise machine.error(f"items are appended to a {type(machine.stack[-1]).__name__}")
    machine.stack[-1].extend(items)


def _append(machine: Machine, _: Any) -> None:
    _extend(machine, [machine.stack.pop()])


def _add_items(machine: Machine, _: Any) -> None:
    items = machine.pop_mark()
    if type(machine.stack[-1]) is not set:
        raise machine.error(f"items are added to a {type(machine.stack[-1]).__name__}")
    machine.stack[-1].update(check_key(machine, item) for item in items)


def _frozen_set(machine: Machine, _: Any) -> None:
    items = machine.pop_mark()
    machine.stack.append(frozenset(check_key(machine, item) for item in items))


def _global(machine: Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(machine.lookup(module, name))


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(machine.lookup(module, name))


def _call(machine: Machine, _: Any) -> None:
    args, target = machine.stack.pop(), machine.stack.pop()
    if not isinstance(target, Global) or target.build is None or not isinstance(args, tuple):
        name = f"'{target.module}.{target.name}'" if isinstance(target, Global) else f"a {type(target).__name__}"
        raise machine.error(f"it tries to call {name}")
    machine.stack.append(target.build(machine, args))


def _build(machine: Machine, _: Any) -> None:
    state = machine.stack.pop()
    target = machine.stack[-1]
    if isinstance(target, Record):
        if not isinstance(state, dict):
            raise machine.error(f"the state of {target.module}.{target.name} is a {type(state).__name__}, not a dict")
        target.state = state
    elif type(target) in machine.setters:
        machine.setters[type(target)](machine, target, state)
    elif type(target) not in (dict, OrderedDict):  # a dict's attributes (torch's `_metadata`) are not needed
        raise machine.error(f"it sets the state of a {type(target).__name__}")


def _persistent(machine: Machine, argument: Any) -> None:
    if machine.persistent is None:
        raise machine.error("it refers to data outside itself (a persistent id), or is not a pickle at all")
    machine.stack.append(machine.persistent(machine, argument))


_STEPS: dict[str, Callable[[Machine, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, argument: None),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE",
                     "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING",
                     "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _push),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_SET": lambda machine, _: machine.stack.append(set()),
    "LIST": lambda machine, _: _push(machine, machine.pop_mark()),
    "TUPLE": lambda machine, _: _push(machine, tuple(machine.pop_mark())),
    "TUPLE1": _short_tuple(1), "TUPLE2": _short_tuple(2), "TUPLE3": _short_tuple(3),
    "DICT": _make_dict, "SETITEM": _set_item, "SETITEMS": _set_items,
    "APPEND": _append, "APPENDS": lambda machine, _: _extend(machine, machine.pop_mark()),
    "ADDITEMS": _add_items, "FROZENSET": _frozen_set,
    "MARK": _mark, "POP": _pop, "POP_MARK": lambda machine, _: machine.pop_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put), "MEMOIZE": _memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    "GLOBAL": _global, "STACK_GLOBAL": _stack_global, "REDUCE": _call, "NEWOBJ": _call, "BUILD": _build,
    "PERSID": _persistent, "BINPERSID": lambda machine, _: _persistent(machine, machine.stack.pop()),
}
