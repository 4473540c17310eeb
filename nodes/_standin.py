"""The part of ComfyUI's V3 node interface that the pack uses, for a Python without ComfyUI.

Names, argument order and behaviour follow `comfy_api.latest.io`, so that the same node classes define the same schema
and run with the same `execute` under pytest, in the Gradio app and in scripts. Nothing here is imported by ComfyUI.
"""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class NumberDisplay(str, Enum):
    """How a front end shows a number."""

    number = "number"
    slider = "slider"


class Hidden(str, Enum):
    """Values that the server passes to a node without a socket."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"


class Input:
    """A socket of a node. `io_type` is the type name that links are checked by."""

    io_type = "*"
    is_widget = False

    def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                 lazy: bool | None = None, extra_dict: dict | None = None):
        self.id, self.display_name, self.optional = id, display_name, optional
        self.tooltip, self.lazy, self.extra_dict = tooltip, lazy, extra_dict or {}

    def get_io_type(self) -> str:
        return self.io_type


class WidgetInput(Input):
    """An input that the front end shows as a control, with its default."""

    is_widget = True

    def __init__(self, id: str, display_name: str | None = None, optional: bool = False, tooltip: str | None = None,
                 lazy: bool | None = None, default: Any = None, socketless: bool | None = None,
                 force_input: bool | None = None):
        super().__init__(id, display_name, optional, tooltip, lazy)
        self.default, self.socketless, self.force_input = default, socketless, force_input


class Output:
    """A result of a node."""

    io_type = "*"

    def __init__(self, id: str | None = None, display_name: str | None = None, tooltip: str | None = None,
                 is_output_list: bool = False):
        self.id, self.display_name, self.tooltip, self.is_output_list = id, display_name, tooltip, is_output_list

    def get_io_type(self) -> str:
        return self.io_type


class _BooleanInput(WidgetInput):
    def __init__(self, id: str, *arguments: Any, label_on: str | None = None, label_off: str | None = None,
                 **keywords: Any):
        super().__init__(id, *arguments, **keywords)
        self.label_on, self.label_off = label_on, label_off


class _IntInput(WidgetInput):
    def __init__(self, id: str, *arguments: Any, min: int | None = None, max: int | None = None,
                 step: int | None = None, control_after_generate: bool | None = None,
                 display_mode: NumberDisplay | None = None, **keywords: Any):
        super().__init__(id, *arguments, **keywords)
        self.min, self.max, self.step = min, max, step
        self.control_after_generate, self.display_mode = control_after_generate, display_mode


class _FloatInput(WidgetInput):
    def __init__(self, id: str, *arguments: Any, min: float | None = None, max: float | None = None,
                 step: float | None = None, round: float | None = None, display_mode: NumberDisplay | None = None,
                 **keywords: Any):
        super().__init__(id, *arguments, **keywords)
        self.min, self.max, self.step = min, max, step
        self.round, self.display_mode = round, display_mode


class _StringInput(WidgetInput):
    def __init__(self, id: str, *arguments: Any, multiline: bool = False, placeholder: str | None = None,
                 **keywords: Any):
        super().__init__(id, *arguments, **keywords)
        self.multiline, self.placeholder = multiline, placeholder


class _ComboInput(WidgetInput):
    def __init__(self, id: str, options: list | None = None, *arguments: Any,
                 control_after_generate: bool | None = None, **keywords: Any):
        super().__init__(id, *arguments, **keywords)
        self.options, self.control_after_generate = list(options or []), control_after_generate


def _socket_type(type_name: str, input_class: type[Input] = Input) -> type:
    """A type with `.Input` and `.Output`, as `io.Int` or `io.Custom("X")` are."""
    return type(type_name, (), {
        "io_type": type_name,
        "Input": type("Input", (input_class,), {"io_type": type_name}),
        "Output": type("Output", (Output,), {"io_type": type_name}),
    })


def Custom(io_type: str) -> type:  # noqa: N802 (the interface's own name)
    """A socket type of the pack's own."""
    return _socket_type(io_type)


Boolean = _socket_type("BOOLEAN", _BooleanInput)
Int = _socket_type("INT", _IntInput)
Float = _socket_type("FLOAT", _FloatInput)
String = _socket_type("STRING", _StringInput)
Combo = _socket_type("COMBO", _ComboInput)
Image = _socket_type("IMAGE")
Mask = _socket_type("MASK")


@dataclass
class Schema:
    """What a node is: its names, sockets and texts."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    not_idempotent: bool = False

    def validate(self) -> None:
        """Raise ValueError when an id occurs twice among the inputs and outputs, as ComfyUI does."""
        ids = [socket.id for socket in (*self.inputs, *self.outputs) if socket.id is not None]
        repeated = [name for name, times in Counter(ids).items() if times > 1]
        if repeated:
            raise ValueError(f"{self.node_id}: input and output ids must be unique, but {repeated} are not.")


class NodeOutput:
    """What `execute` returns: one value an output, in order."""

    def __init__(self, *args: Any, ui: Any = None, expand: dict | None = None, block_execution: str | None = None):
        self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution

    @property
    def result(self) -> tuple | None:
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class ComfyNode:
    """Base class of a node: `define_schema` says what it is, `execute` does it."""

    hidden: Any = None

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError

    @classmethod
    def execute(cls, **inputs: Any) -> NodeOutput:
        raise NotImplementedError

    @classmethod
    def GET_SCHEMA(cls) -> Schema:  # noqa: N802 (the interface's own name)
        """The schema, checked. Raises TypeError for a node without an `execute` of its own, as ComfyUI does."""
        if cls.execute.__func__ is ComfyNode.execute.__func__:
            raise TypeError(f"{cls.__name__} has no execute.")
        schema = cls.define_schema()
        schema.validate()
        return schema


class ComfyExtension:
    """What a pack hands to ComfyUI: the list of its nodes."""

    async def on_load(self) -> None:
        """Called once, before the nodes are asked for."""

    async def get_node_list(self) -> list[type[ComfyNode]]:
        raise NotImplementedError
