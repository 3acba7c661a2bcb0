"""What llama.cpp's converters make of the tiny Llamas, their adapters and three vocabularies -> golden/gguf/.

    python3 parity/gguf.py LLAMA_CPP_FOLDER [COMMIT]

`models.json` and `adapters.json`: metadata, and name, shape, type and SHA-256 of every tensor. `vocabularies/`:
tokenizer folders, and `vocabularies.json` the tokenizer metadata of each.
The folder is a checkout of llama.cpp, which is not needed for anything else.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common import GOLDEN, madeBy, setUp, writeJson
from llamaParts import HOME, loadModel
from peft import PeftModel
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

LLAMA_CPP = Path(sys.argv[1]).resolve()
HERE = GOLDEN / "gguf"
MODELS = ["tied", "untied", "bias", "headDim16", "ropeLlama3", "tied-f16", "tied-bf16"]
MERGED = {"untied-all": "untied", "tied-rslora": "tied"}
FAMILIES = GOLDEN / "families"
FAMILY_MODELS = ["llamaLinear", "llamaYarn"]
FAMILY_ADAPTERS = ["mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3", "olmo2", "smollm3"]
ADAPTERS = ["tied-qv", "tied-all", "tied-rslora", "untied-all", "bias-all", "headDim16-all", "ropeLlama3-all"]
# The converter knows BPE vocabularies by a hash of what they make of a text, and refuses those it has never seen: the
# tiny ones are said to be Llama 3's.
RUNNER = """
import runpy, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/gguf-py"]
import conversion.base
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "llama-bpe"
script = sys.argv[1] + "/" + sys.argv[2]
sys.argv[:] = sys.argv[2:]
runpy.run_path(script, run_name="__main__")
"""


def convert(script: str, arguments: list) -> dict:
    """Runs a converter and reads its file with the gguf package of the same checkout."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.gguf"
        run = subprocess.run(
            [sys.executable, "-c", RUNNER, LLAMA_CPP, script, "--outfile", out, *arguments],
            capture_output=True,
            text=True,
            cwd=LLAMA_CPP,
        )
        if run.returncode != 0:
            raise RuntimeError(run.stderr[-3000:])
        return read(out)


def read(path: Path) -> dict:
    sys.path.insert(0, str(LLAMA_CPP / "gguf-py"))
    import gguf

    reader = gguf.GGUFReader(path)
    kept = {
        key: [*[kind.name for kind in field.types], field.contents()]
        for key, field in reader.fields.items()
        if not key.startswith("GGUF.")
    }
    tensors = {
        t.name: [t.tensor_type.name, [int(n) for n in t.shape], hashlib.sha256(t.data.tobytes()).hexdigest()]
        for t in reader.tensors
    }
    return {"metadata": kept, "tensors": tensors}


def merged(name: str, variant: str, folder: Path) -> Path:
    model = PeftModel.from_pretrained(loadModel(HOME / variant), HOME / "adapters" / name).merge_and_unload()
    model.save_pretrained(folder)
    for file in ["tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"]:
        shutil.copy(HOME / variant / file, folder / file)
    return folder


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TEMPLATE = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}{% endfor %}"
TEXT = [
    "the cat sat on the mat, and the dog sat there too",
    "a quick brown fox jumps over the lazy dog",
    "one two three, one two, one: the end of the story",
]


def writeVocabulary(name: str, size: int, config: dict) -> Path:
    folder = HERE / "vocabularies" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": size}, indent=1) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    return folder


def sentencePiece() -> Path:
    """tokenizer.model, as Llama 1 and 2 have it, with added tokens by both of their files, and rows of the embedding
    without a token.
    """
    import sentencepiece

    added = {
        "261": {"content": "<|im_start|>", "special": False},
        "262": {"content": "\u2581\u2581tool", "special": False},
        "300": {"content": "<pad>", "special": True},
    }
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": {"content": "</s>"},
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "add_bos_token": True,
        "add_eos_token": False,
        "add_prefix_space": True,
        "chat_template": TEMPLATE,
        "added_tokens_decoder": added,
    }
    folder = writeVocabulary("sentencePiece", 305, config)
    with (folder / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXT * 20),
            model_writer=file,
            vocab_size=299,
            model_type="bpe",
            byte_fallback=True,
            normalization_rule_name="identity",
            hard_vocab_limit=False,
            user_defined_symbols=["<mark>"],
            minloglevel=2,
        )
    (folder / "added_tokens.json").write_text(json.dumps({"<extra>": 301, "far": 999}) + "\n")
    return folder


def byteFallback() -> Path:
    """A tokenizer.json made from a SentencePiece vocabulary, without the vocabulary itself."""
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *[f"<0x{byte:02X}>" for byte in range(256)],
        "\u2581",
        "t",
        "h",
        "e",
        "\u2581t",
        "he",
        "\u2581the",
    ]
    tokenizer = Tokenizer(
        models.BPE(
            {piece: at for at, piece in enumerate(pieces)},
            [("\u2581", "t"), ("h", "e"), ("\u2581t", "he")],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ["<unk>", "<s>", "</s>", "<|system|>"]])
    tokenizer.add_tokens([AddedToken("<user>", normalized=False)])
    folder = writeVocabulary(
        "byteFallback",
        len(pieces) + 2,
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def byteLevel() -> Path:
    """A byte-level BPE with added tokens of every kind, a template of its own file, and merges that hold spaces."""
    json_ = json.loads((HOME / "tied" / "tokenizer.json").read_text())
    at = len(json_["model"]["vocab"])
    for kind, (content, special, normalized) in enumerate(
        [
            ("<|im_start|>", False, False),
            ("<tool>", False, True),
            ("\u2581\u2581x", False, False),
            ("<eot>", True, False),
        ]
    ):
        json_["added_tokens"].append(
            {
                "id": at + kind,
                "content": content,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": normalized,
                "special": special,
            }
        )
    folder = writeVocabulary(
        "byteLevel",
        at + 6,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "<eot>",
            "unk_token": "<unk>",
            "pad_token": "</s>",
        },
    )
    (folder / "tokenizer.json").write_text(json.dumps(json_) + "\n")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


if __name__ == "__main__":
    setUp()
    shutil.rmtree(HERE, ignore_errors=True)
    commit = (
        sys.argv[2]
        if len(sys.argv) > 2
        else subprocess.run(
            ["git", "-C", LLAMA_CPP, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
        ).stdout.strip()
    )
    head = {"madeBy": {**madeBy("gguf.py"), "llama.cpp": commit}}
    vocabularies = [sentencePiece(), byteFallback(), byteLevel()]
    results = {name: convert("convert_hf_to_gguf.py", ["--outtype", "f16", HOME / name]) for name in MODELS}
    with tempfile.TemporaryDirectory() as scratch:
        for name in FAMILY_MODELS:
            # These folders have no tokenizer; any will do.
            folder = Path(scratch) / name
            shutil.copytree(FAMILIES / name, folder)
            for file in ["tokenizer.json", "tokenizer_config.json"]:
                shutil.copy(HOME / "tied" / file, folder / file)
            results[name] = convert("convert_hf_to_gguf.py", ["--outtype", "f16", folder])
    for name, variant in MERGED.items():
        with tempfile.TemporaryDirectory() as folder:
            results[f"merged-{name}"] = convert(
                "convert_hf_to_gguf.py", ["--outtype", "f16", merged(name, variant, Path(folder))]
            )
    # One vocabulary is enough: those of the folders are all alike.
    for name, result in results.items():
        if name != "tied":
            result["metadata"] = {
                key: value for key, value in result["metadata"].items() if not key.startswith("tokenizer.")
            }
    writeJson(HERE / "models.json", {**head, **results}, indent=None)
    adapters = {
        name: convert("convert_lora_to_gguf.py", ["--base", HOME / name.split("-")[0], HOME / "adapters" / name])
        for name in ADAPTERS
    }
    adapters |= {
        name: convert("convert_lora_to_gguf.py", ["--base", FAMILIES / name, FAMILIES / name / "adapter"])
        for name in FAMILY_ADAPTERS
    }
    writeJson(HERE / "adapters.json", {**head, **adapters}, indent=None)
    told = {
        folder.name: convert("convert_hf_to_gguf.py", ["--vocab-only", folder])["metadata"] for folder in vocabularies
    }
    writeJson(
        HERE / "vocabularies.json",
        {
            **head,
            **{
                name: {key: value for key, value in metadata.items() if key.startswith("tokenizer.")}
                for name, metadata in told.items()
            },
        },
        indent=None,
    )
