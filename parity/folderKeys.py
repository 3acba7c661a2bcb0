"""The keys that transformers' and PEFT's classes have for the files of a folder -> golden/folderKeys.json.

Tests of the tables of keys (packages/models/src/configKeys.ts and others) ask for each of them.
"""

import dataclasses

from common import GOLDEN, madeBy, setUp, writeJson
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from transformers import CONFIG_MAPPING
from transformers.generation import GenerationConfig

FAMILIES = """llama mistral qwen2 qwen3 gemma gemma2 gemma3_text gemma3 phi3 smollm3 olmo2 olmo3 granite gpt2
gpt_neox""".split()
ADAPTERS = ["LORA", "TRAINABLE_TOKENS", "PROMPT_TUNING", "PREFIX_TUNING", "IA3", "BEFT"]


def fields(kind: type) -> list[str]:
    return sorted(field.name for field in dataclasses.fields(kind))


if __name__ == "__main__":
    setUp()
    adapters = {getattr(kind, "value", kind): made for kind, made in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    keys = {
        "madeBy": madeBy("folderKeys.py"),
        "config.json": {family: fields(CONFIG_MAPPING[family]) for family in FAMILIES},
        "generation_config.json": sorted(GenerationConfig().to_dict()),
        "adapter_config.json": {kind: fields(adapters[kind]) for kind in ADAPTERS},
    }
    writeJson(GOLDEN / "folderKeys.json", keys)
    print("folderKeys: written")
