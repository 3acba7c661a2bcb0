"""golden/dynamicMap.json: the bits of bitsandbytes' two dynamic maps (needs bitsandbytes)."""

import importlib.metadata
import struct

from common import GOLDEN, madeBy, writeJson  # first: it puts this folder last on the path

from bitsandbytes.functional import create_dynamic_map


def bits(signed):
    return [struct.unpack("<I", struct.pack("<f", value))[0] for value in create_dynamic_map(signed=signed).tolist()]


head = {**madeBy("dynamicMap.py"), "bitsandbytes": importlib.metadata.version("bitsandbytes")}
writeJson(GOLDEN / "dynamicMap.json", {"madeBy": head, "signed": bits(True), "unsigned": bits(False)}, indent=None)
