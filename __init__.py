"""Entry point for ComfyUI. Outside it (pytest imports this file when it collects the root) it does nothing."""
import importlib.util

if importlib.util.find_spec("folder_paths") is not None:
    from .nodes import comfy_entrypoint

    WEB_DIRECTORY = "./web"
    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
