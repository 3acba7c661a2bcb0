"""Writes the goldens that packages/safetensors compares its writer with, byte for byte.

    python -m venv venv && venv/bin/pip install safetensors numpy
    venv/bin/python parity/safetensors.py

Left out: metadata with more than one key, which the library writes in a random order, and empty metadata without
tensors, for which
0.8.0 writes a header that is no JSON (`{},"__metadata__":{}}`).
"""

import base64
import importlib.metadata
import json
import pathlib
import sys

# A script's own folder comes first on the path, and this script is called like the library.
sys.path = [
    entry for entry in sys.path if pathlib.Path(entry or ".").resolve() != pathlib.Path(__file__).resolve().parent
]

import safetensors  # noqa: E402

OUT = pathlib.Path(__file__).parent / "golden" / "safetensors.json"

BYTES = {
    "uint64": 8,
    "int64": 8,
    "float64": 8,
    "float32": 4,
    "uint32": 4,
    "int32": 4,
    "bfloat16": 2,
    "float16": 2,
    "uint16": 2,
    "int16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int8": 1,
    "uint8": 1,
    "bool": 1,
}
NAMES = {
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "float32": "F32",
    "uint32": "U32",
    "int32": "I32",
    "bfloat16": "BF16",
    "float16": "F16",
    "uint16": "U16",
    "int16": "I16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def tensor(name, dtype, shape):
    count = BYTES[dtype]
    for dim in shape:
        count *= dim
    seed = sum(name.encode())
    return {"name": name, "dtype": dtype, "shape": shape, "data": bytes((seed + 7 * i) % 251 for i in range(count))}


def case(title, tensors, metadata):
    spec = {t["name"]: {"dtype": t["dtype"], "shape": t["shape"], "data": t["data"]} for t in tensors}
    return {
        "title": title,
        "metadata": metadata,
        "tensors": [{**t, "dtype": NAMES[t["dtype"]], "data": base64.b64encode(t["data"]).decode()} for t in tensors],
        "file": base64.b64encode(serialize(spec, metadata)).decode(),
    }


def serialize(spec, metadata):
    """`safetensors.serialize` took dictionaries with bytes until 0.7 and takes specs with pointers since 0.8."""
    if not hasattr(safetensors, "TensorSpec"):
        return safetensors.serialize(spec, metadata)
    import ctypes

    kept = {name: ctypes.create_string_buffer(t["data"], len(t["data"])) for name, t in spec.items()}
    specs = {
        name: safetensors.TensorSpec(
            dtype=t["dtype"], shape=t["shape"], data_ptr=ctypes.addressof(kept[name]), data_len=len(t["data"])
        )
        for name, t in spec.items()
    }
    return bytes(safetensors.serialize(specs, metadata))


cases = [
    case("no tensors", [], None),
    case("empty metadata", [tensor("a", "uint8", [1])], {}),
    case(
        "PEFT's metadata, names out of order",
        [tensor("b", "float32", [2, 3]), tensor("a.lora_A.weight", "float32", [3]), tensor("B", "float32", [1])],
        {"format": "pt"},
    ),
    case("every dtype", [tensor(f"t{i % 4}.{dtype}", dtype, [3]) for i, dtype in enumerate(BYTES)], None),
    case(
        "scalars and empty tensors",
        [
            tensor("scalar", "float32", []),
            tensor("empty", "float32", [0]),
            tensor("a", "int64", [2, 0, 3]),
            tensor("z", "uint8", [5]),
        ],
        {"note": "x"},
    ),
    case(
        "names that need escapes",
        [
            tensor(n, "int8", [1])
            for n in ['quote"', "back\\slash", "line\nbreak", "tab\t\x01\x1f\x7f", "é", "\u2028", "/", ""]
        ],
        {'kéy"': "välue\n\u2029"},
    ),
    case(
        "code point order",
        [tensor(n, "uint8", [2]) for n in ["\U0001f600", "\uffee", "\ue000", "z", "a\U0001f600", "a\uff00", "aa", "a"]],
        None,
    ),
]

OUT.parent.mkdir(exist_ok=True)
OUT.write_text(
    json.dumps(
        {
            "library": f"safetensors {importlib.metadata.version('safetensors')}",
            "script": "parity/safetensors.py",
            "cases": cases,
        },
        indent=1,
    )
    + "\n"
)
print(f"{OUT.name}: {len(cases)} cases, {OUT.stat().st_size} bytes")
