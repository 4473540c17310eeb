"""Parts of hostile pickles and torch files, to be put together opcode by opcode."""
from __future__ import annotations

import io
import pickle
import struct
import zipfile

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def short_bytes(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def call(module: str, name: str, *args: bytes) -> bytes:
    """A pickle that calls module.name with already pickled arguments."""
    return b"\x80\x04" + stack_global(module, name) + b"(" + b"".join(args) + b"tR."


def array(shape: bytes, dtype: bytes, content: bytes) -> bytes:
    """A pickle of a numpy array from pickled parts."""
    return (b"\x80\x04" + stack_global("numpy.core.multiarray", "_reconstruct") + stack_global("numpy", "ndarray")
            + b"K\x00\x85" + short_bytes(b"b") + b"\x87R" + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb.")


def dtype(code: str, state: bytes = b"") -> bytes:
    return stack_global("numpy", "dtype") + text(code) + b"\x89\x88\x87R" + state


def storage_id(key: str = "0", count: bytes = b"K\x04", kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + stack_global("torch", kind) + text(key) + text("cpu") + count + b"tQ"


def tensor(storage: bytes, offset: bytes = b"K\x00", size: bytes = b"K\x02K\x02\x86",
           stride: bytes = b"K\x02K\x01\x86") -> bytes:
    return (b"\x80\x02" + stack_global("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + offset + size + stride
            + b"\x89" + stack_global("collections", "OrderedDict") + b")RtR.")


def torch_zip(pickled: bytes, members: dict[str, bytes] | None = None, **options) -> bytes:
    """A torch file in the zip format; without other members it has one storage of four float32."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", **options) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in (members if members is not None else {"archive/data/0": bytes(16)}).items():
            archive.writestr(name, content)
    return made.getvalue()


def torch_legacy(pickled: bytes, keys: list, tail: bytes) -> bytes:
    """A torch file in the format before the zip one."""
    head = (MAGIC, PROTOCOL, {"little_endian": True})
    return b"".join(pickle.dumps(part, 2) for part in head) + pickled + pickle.dumps(keys, 2) + tail


def forbidden_names() -> list[tuple[str, str]]:
    """Names that attacks in the wild reach for, some of them in modules that have allowed names too."""
    return [("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("builtins", "eval"),
            ("builtins", "exec"), ("builtins", "getattr"), ("builtins", "__import__"), ("builtins", "open"),
            ("__builtin__", "eval"), ("importlib", "import_module"), ("functools", "partial"), ("types", "CodeType"),
            ("types", "FunctionType"), ("operator", "attrgetter"), ("operator", "methodcaller"), ("runpy", "run_path"),
            ("copyreg", "add_extension"), ("copyreg", "_reconstructor"), ("pickle", "loads"), ("shutil", "rmtree"),
            ("socket", "socket"), ("ctypes", "CDLL"), ("numpy", "load"), ("numpy", "fromfile"), ("numpy", "memmap"),
            ("numpy.core.multiarray", "fromfile"), ("numpy.testing._private.utils", "runstring"), ("torch", "load"),
            ("torch.hub", "load"), ("torch.jit", "load"), ("torch.storage", "TypedStorage"), ("torch", "Tensor"),
            ("torch._utils", "_rebuild_wrapper_subclass"), ("torch.serialization", "load"), ("dnnlib.util", "open_url"),
            ("dnnlib.util", "call_func_by_name"), ("torch_utils.persistence", "persistent_class"),
            ("argparse", "FileType"), ("collections", "OrderedDict.__class__"), ("numpy", "ndarray.tofile"),
            ("numpy", "core.multiarray"), ("_codecs", "encode.__self__"), ("_codecs", "decode"), ("", ""),
            ("os.path", "")]
