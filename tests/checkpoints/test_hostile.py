"""Hostile files give a CoModError, run nothing, and cost neither time nor memory."""
from __future__ import annotations

import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import hostile as h
import pytest

from comod_core.checkpoints import import_checkpoint, machine
from comod_core.checkpoints.pickles import read_npy, read_pickle, read_torch
from comod_core.errors import CoModError

DATA = Path(__file__).parent.parent / "data"
SECONDS, MEBIBYTES = 15, 400
HUGE = struct.pack("<Q", 1 << 61)
NPY_OF_OBJECTS = (b"\x93NUMPY\x01\x00\x46\x00"
                  + b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(69) + b"\n")
GOOD_TENSOR = h.tensor(h.storage_id())


class Reduces:
    """Pickles as a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def touch(sentinel: Path) -> str:
    return f"touch {sentinel}"


@pytest.fixture
def sentinel(tmp_path):
    """A file that only code in a hostile file would create; memory and time are watched around the test."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    path = tmp_path / "sentinel"
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield path
    assert not path.exists(), "the file ran a command"
    assert time.process_time() - start < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < MEBIBYTES << 20


def refused(content: bytes, reader, tmp_path: Path) -> str:
    path = tmp_path / "hostile.bin"
    path.write_bytes(content)
    with pytest.raises(CoModError) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
def test_commands_are_not_run(protocol, sentinel, tmp_path):
    for call in ((os.system, (touch(sentinel),)), (subprocess.check_call, (["touch", str(sentinel)],)),
                 (eval, (f"open({str(sentinel)!r}, 'w')",)), (exec, (f"open({str(sentinel)!r}, 'w')",))):
        content = pickle.dumps({"weight": Reduces(*call)}, protocol)
        for reader in (read_pickle, import_checkpoint):
            assert "not on the list of allowed names" in refused(content, reader, tmp_path)
        refused(h.torch_zip(content), read_torch, tmp_path)
        refused(h.torch_legacy(content, [], b""), read_torch, tmp_path)
        assert "not on the list" in refused(NPY_OF_OBJECTS + content, read_npy, tmp_path)


@pytest.mark.parametrize(("module", "name"), h.forbidden_names())
def test_names_off_the_list(module, name, sentinel, tmp_path):
    argument = h.text(touch(sentinel))
    assert "not on the list" in refused(h.call(module, name, argument), read_pickle, tmp_path)
    classic = f"c{module}\n{name}\n".encode() + b"(" + argument + b"tR."
    refused(classic, read_pickle, tmp_path)
    refused(f"(S'{touch(sentinel)}'\ni{module}\n{name}\n.".encode(), read_pickle, tmp_path)
    refused(h.torch_zip(h.call(module, name, argument)), read_torch, tmp_path)


BAD_PICKLES = {
    "empty": b"\x80\x04.",
    "not a pickle": b"\x89PNG\r\n\x1a\n",
    "two objects": b"\x80\x04K\x01K\x02.",
    "open mark": b"\x80\x04(K\x01.",
    "stack underflow": b"\x80\x04\x87.",
    "pop of nothing": b"\x80\x040.",
    "append to nothing": b"\x80\x04K\x01a.",
    "append to a dict": b"\x80\x04}K\x01a.",
    "items set on a list": b"\x80\x04]K\x01K\x02s.",
    "items set on an array": h.array(b"K\x00\x85", h.dtype("f4"), h.short_bytes(b""))[:-1] + b"K\x01K\x02s.",
    "odd items": b"\x80\x04}(K\x01u.",
    "a global named by a list": b"\x80\x04]]\x93.",
    "a global named by bytes": b"\x80\x04" + h.short_bytes(b"os") + h.short_bytes(b"system") + b"\x93.",
    "a call of text": b"\x80\x04" + h.text("os.system") + b"(tR.",
    "a call of a type": h.call("numpy", "ndarray"),
    "a call without a tuple": b"\x80\x04" + h.stack_global("collections", "OrderedDict") + b"]R.",
    "object by class": b"\x80\x04(" + h.stack_global("argparse", "Namespace") + b"o.",
    "object with keywords": b"\x80\x04" + h.stack_global("argparse", "Namespace") + b")}\x92.",
    "extension code 1": b"\x80\x02\x82\x01.",
    "extension code 2": b"\x80\x02\x83\x01\x00.",
    "extension code 4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "persistent id": b"\x80\x02Pstorage\n.",
    "binary persistent id": b"\x80\x02" + h.storage_id() + b".",
    "state of a number": b"\x80\x02K\x01}b.",
    "state of a list": b"\x80\x02]}b.",
    "state of a global": b"\x80\x04" + h.stack_global("numpy", "ndarray") + b"}b.",
    "state that is no dict": b"\x80\x04" + h.stack_global("argparse", "Namespace") + b")\x81N}\x86b.",
    "memo entry that is absent": b"\x80\x02h\x07.",
    "huge memo entry that is absent": b"\x80\x02K\x01r\xff\xff\xff\xffj\xfe\xff\xff\xff.",
    "negative memo entry": b"K\x01p-5\n.",
    "memo of nothing": b"\x80\x04\x94.",
    "bytes longer than the file": b"\x80\x04\x8e" + HUGE + b"abc.",
    "text longer than the file": b"\x80\x04\x8d" + HUGE + b"abc.",
    "bytearray longer than the file": b"\x80\x05\x96" + HUGE + b"abc.",
    "integer longer than the file": b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
    "negative length": b"\x80\x02\x8b\xff\xff\xff\xffabc.",
    "text that is not UTF-8": b"\x80\x02X\x02\x00\x00\x00\xff\xff.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "bytes(10**12)": h.call("builtins", "bytes", b"\x8a\x06\x00\x10\xa5\xd4\xe8\x00"),
    "another codec": h.call("_codecs", "encode", h.text("a"), h.text("zlib")),
    "namespace with arguments": h.call("argparse", "Namespace", h.text("a")),
    "set of sets": h.call("builtins", "set", b"]]a"),
    "array of objects": h.array(b"K\x01\x85", h.dtype("O"), b"]K\x01a"),
    "array of records": h.array(b"K\x01\x85", h.dtype("V8"), h.short_bytes(bytes(8))),
    "dtype by name": h.array(b"K\x01\x85", h.dtype("f4,f4"), h.short_bytes(bytes(8))),
    "dtype with fields": h.array(b"K\x01\x85", h.dtype("f4", b"(K\x03" + h.text("<") + h.text("a") + b"}NNNK\x00tb"),
                                 h.short_bytes(bytes(4))),
    "array larger than its bytes": h.array(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", h.dtype("f8"),
                                           h.short_bytes(b"")),
    "array smaller than its bytes": h.array(b"K\x01\x85", h.dtype("f4"), h.short_bytes(bytes(400))),
    "array with a negative shape": h.array(b"J\xff\xff\xff\xff\x85", h.dtype("f4"), h.short_bytes(b"")),
    "array of too many dimensions": h.array(b"(" + b"K\x01" * 60 + b"t", h.dtype("f4"), h.short_bytes(bytes(4))),
    "array whose shape is text": h.array(h.text("abc"), h.dtype("f4"), h.short_bytes(bytes(4))),
    "array filled from a list": h.array(b"K\x01\x85", h.dtype("f4"), b"]K\x01a"),
    "array filled twice": h.array(b"K\x01\x85", h.dtype("f4"), h.short_bytes(bytes(4)))[:-1]
    + b"(K\x01K\x01\x85" + h.dtype("f4") + b"\x89" + h.short_bytes(bytes(4)) + b"tb.",
    "array of another class": h.call("numpy.core.multiarray", "_reconstruct", h.stack_global("argparse", "Namespace")),
    "scalar of no bytes": h.call("numpy.core.multiarray", "scalar", h.dtype("f4"), h.short_bytes(b"")),
    "scalar of text length": h.call("numpy.core.multiarray", "scalar", h.dtype("S999999999"), h.short_bytes(b"a")),
    "buffer of another size": h.call("numpy.core.numeric", "_frombuffer", h.short_bytes(b"abc"), h.dtype("f8"),
                                     b"J\xff\xff\xff\x7f\x85", h.text("C")),
    "parameter of text": h.call("torch._utils", "_rebuild_parameter", h.text("a"), b"\x89", b"N"),
    "tensor without a storage": h.call("torch._utils", "_rebuild_tensor_v2", h.text("a"), b"K\x00", b")", b")"),
    "persistent object without a state": h.call("torch_utils.persistence", "_reconstruct_persistent_obj", b"}"),
    "embedded file that is none": h.call("torch.storage", "_load_from_bytes", h.short_bytes(b"abcdef")),
    "embedded file with a command": h.call("torch.storage", "_load_from_bytes",
                                           h.short_bytes(h.torch_zip(h.call("os", "system", h.text("true"))))),
    "embedded file in an embedded file": h.call("torch.storage", "_load_from_bytes", h.short_bytes(h.torch_zip(
        h.call("torch.storage", "_load_from_bytes", h.short_bytes(h.torch_zip(b"\x80\x02" + h.storage_id() + b".")))))),
}


@pytest.mark.parametrize("name", BAD_PICKLES)
def test_bad_pickles(name, sentinel, tmp_path):
    refused(BAD_PICKLES[name], read_pickle, tmp_path)
    refused(BAD_PICKLES[name], import_checkpoint, tmp_path)


def bombs() -> dict[str, bytes]:
    """Small files that ask for much memory or time."""
    doubled_tuples = b"\x80\x04}K\x01" + b"2\x86" * 60 + b"K\x01s."
    megabyte = h.text("a" * (1 << 20)) + b"q\x00"
    encode = h.stack_global("_codecs", "encode") + b"h\x00" + h.text("latin1") + b"\x86R"
    pairs = b"](" + b"K\x01K\x01\x86" * 100_000 + b"eq\x00"
    rebuild = h.stack_global("collections", "OrderedDict") + b"h\x00\x85R"
    embedded = h.short_bytes(h.torch_zip(b"\x80\x02(" + b"]" * 400_000 + b"1" + h.storage_id() + b".")) + b"q\x00"
    load = h.stack_global("torch.storage", "_load_from_bytes") + b"h\x00\x85R"
    return {
        "a key of doubled tuples": doubled_tuples,
        "a flood of lists": b"\x80\x04(" + b"]" * 1_500_000 + b"t.",
        "a deep pile of tuples": b"\x80\x04)" + b"\x85" * 900_000,
        "a deep pile of marks": b"(" * 900_000,
        "a text encoded again and again": b"\x80\x04(" + megabyte + encode * 2000 + b"t.",
        "a list made into many dicts": b"\x80\x04(" + pairs + rebuild * 2000 + b"t.",
        "an embedded file read again and again": b"\x80\x04(" + embedded + load * 2000 + b"t.",
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs(name, sentinel, tmp_path):
    refused(bombs()[name], read_pickle, tmp_path)


BAD_TORCH = {
    "storage of more values than it has": h.torch_zip(h.tensor(h.storage_id(count=b"K\x05"))),
    "storage of gigantic size": h.torch_zip(h.tensor(h.storage_id(count=b"\x8a\x08" + HUGE))),
    "storage of negative size": h.torch_zip(h.tensor(h.storage_id(count=b"J\xff\xff\xff\xff"))),
    "storage that is absent": h.torch_zip(h.tensor(h.storage_id(key="7"))),
    "storage outside the archive": h.torch_zip(h.tensor(h.storage_id(key="../../../etc/passwd"))),
    "storage of another class": h.torch_zip(h.tensor(b"(" + h.text("storage") + h.stack_global("argparse", "Namespace")
                                                     + h.text("0") + h.text("cpu") + b"K\x04tQ")),
    "persistent id of another kind": h.torch_zip(h.tensor(b"(" + h.text("module") + h.text("os") + b"tQ")),
    "persistent id that is text": h.torch_zip(h.tensor(h.text("0") + b"Q")),
    "tensor beyond its storage": h.torch_zip(h.tensor(h.storage_id(), offset=b"K\x01")),
    "tensor with long strides": h.torch_zip(h.tensor(h.storage_id(), stride=b"J\xff\xff\xff\x7fK\x01\x86")),
    "tensor with negative strides": h.torch_zip(h.tensor(h.storage_id(), stride=b"J\xff\xff\xff\xffK\x01\x86")),
    "tensor with negative offset": h.torch_zip(h.tensor(h.storage_id(), offset=b"J\xff\xff\xff\xff")),
    "gigantic tensor of one value": h.torch_zip(h.tensor(h.storage_id(), size=b"J\xff\xff\xff\x7fK\x02\x86",
                                                         stride=b"K\x00K\x00\x86")),
    "tensor with fewer strides": h.torch_zip(h.tensor(h.storage_id(), stride=b"K\x01\x85")),
    "state of a tensor": h.torch_zip(GOOD_TENSOR[:-1] + b"}b."),
    "compressed archive": h.torch_zip(GOOD_TENSOR, {"archive/data/0": bytes(1 << 24)},
                                      compression=zipfile.ZIP_DEFLATED),
    "two pickles": h.torch_zip(GOOD_TENSOR, {"other/data.pkl": GOOD_TENSOR}),
    "big endian": h.torch_zip(GOOD_TENSOR, {"archive/data/0": bytes(16), "archive/byteorder": b"big"}),
    "archive cut short": h.torch_zip(GOOD_TENSOR)[:-30],
    "member outside the file": h.torch_zip(GOOD_TENSOR).replace(b"\x10\x00\x00\x00\x10\x00\x00\x00",
                                                               b"\xff\xff\xff\x0f\xff\xff\xff\x0f"),
    "legacy: gigantic storage": h.torch_legacy(h.tensor(h.storage_id(count=b"\x8a\x08" + HUGE)), ["0"], b""),
    "legacy: cut short": h.torch_legacy(GOOD_TENSOR, ["0"], struct.pack("<q", 4) + bytes(12)),
    "legacy: another count": h.torch_legacy(GOOD_TENSOR, ["0"], struct.pack("<q", 1 << 40) + bytes(16)),
    "legacy: keys missing": h.torch_legacy(GOOD_TENSOR, [], b""),
    "legacy: keys that are no text": h.torch_legacy(GOOD_TENSOR, [["0"]], b""),
    "legacy: another protocol": pickle.dumps(h.MAGIC, 2) + pickle.dumps(999, 2) + pickle.dumps({}, 2) + GOOD_TENSOR,
}


@pytest.mark.parametrize("name", BAD_TORCH)
def test_bad_torch_files(name, sentinel, tmp_path):
    refused(BAD_TORCH[name], read_torch, tmp_path)
    refused(BAD_TORCH[name], import_checkpoint, tmp_path)


def test_the_same_files_without_the_defect_are_read(tmp_path):
    """The bad files above are bad for the reason they name, not because the assembly is wrong."""
    assert read_torch(h.torch_zip(GOOD_TENSOR)).shape == (2, 2)
    legacy = h.torch_legacy(GOOD_TENSOR, ["0"], struct.pack("<q4f", 4, 1, 2, 3, 4))
    assert read_torch(legacy).tolist() == [[1, 2], [3, 4]]
    assert read_pickle(h.array(b"K\x01\x85", h.dtype("f4"), h.short_bytes(struct.pack("<f", 2)))).tolist() == [2]
    embedded = h.torch_zip(b"\x80\x02" + h.storage_id() + b".")
    assert read_pickle(h.call("torch.storage", "_load_from_bytes", h.short_bytes(embedded))).values.tolist() == [0] * 4
    assert read_pickle(b"\x80\x02K\x01r\xff\xff\xff\xffj\xff\xff\xff\xff\x86.") == (1, 1)


@pytest.mark.parametrize("name", ["comod_tf_32_pix2pix.pkl", "stylemap_32_8x8.pt"])
def test_truncated_files(name, sentinel, tmp_path):
    content = (DATA / name).read_bytes()
    for part in (0.0001, 0.01, 0.1, 0.5, 0.9, 0.999, 0.999999):
        refused(content[:int(len(content) * part)] or b" ", import_checkpoint, tmp_path)


def test_damaged_files_never_raise_anything_else(tmp_path):
    """Flipped bytes in the part that steers the reading either do no harm or give a CoModError."""
    content = (DATA / "comod_tf_32_pix2pix.pkl").read_bytes()[:3000]
    chance = random.Random(0)
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with pytest.raises(CoModError):
            read_pickle(bytes(damaged))


def test_empty_and_absent_files(tmp_path):
    (tmp_path / "empty.pkl").write_bytes(b"")
    with pytest.raises(CoModError, match="empty"):
        import_checkpoint(tmp_path / "empty.pkl")
    with pytest.raises(CoModError, match="no such file"):
        import_checkpoint(tmp_path / "absent.pkl")


def test_limits_leave_room_for_the_largest_published_file():
    count = sum(1 for _ in pickletools.genops((DATA / "icgan_stylegan2_64.pkl").read_bytes()))
    assert count * 20 < machine.MAX_OPCODES
