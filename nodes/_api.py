"""The node interface: ComfyUI's own where it runs, and the stand-in of `_standin.py` in a bare Python.

Every node imports `ComfyExtension` and `io` from here, so moving to another version of the interface is one line.
"""
import importlib.util

INSIDE_COMFYUI = importlib.util.find_spec("folder_paths") is not None

if INSIDE_COMFYUI:
    from comfy_api.latest import ComfyExtension, io
else:
    from . import _standin as io
    from ._standin import ComfyExtension

__all__ = ["INSIDE_COMFYUI", "ComfyExtension", "io"]
