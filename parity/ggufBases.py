"""Model files in GGUF, and what the gguf package and transformers read in them -> golden/ggufBases/.

    python3 parity/ggufBases.py [SMOLLM2_GGUF]

`blocks.json`: random blocks of every type that Lowrank reads, base64, and the SHA-256 of the f32 that gguf-py makes of
them. `<model>.gguf`: tiny models of random weights, written by gguf-py, whose matrices have several types;
`answers.json`: what transformers makes of each (`from_pretrained(gguf_file=…)`, f32): ids of texts, and logits. With
the model.gguf of ../shared/data/models/smollm2-135m/make also `smollm2.json`: ids, some logits and greedy tokens.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

# First: it puts this folder, which has a gguf.py, behind the packages.
from common import GOLDEN, setUp, writeJson

import gguf  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from gguf import GGMLQuantizationType as Type  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

HERE = GOLDEN / "ggufBases"
BLOCKS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2]}
HALVES["Q6_K"] = [208]
TEXTS = ["The cat sat on the mat.", "In 2018, she'd said: 'Hello  world'\n\n\tx = 12345;", "Ünïcödé 日本 🚀", " a b"]


def randomBlocks(name: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Bytes of which every one is random, and the scales finite numbers of either sign, some of them subnormal."""
    _, width = gguf.GGML_QUANT_SIZES[Type[name]]
    blocks = rng.integers(0, 256, (count, width), dtype=np.uint8)
    for at in HALVES[name]:
        scales = (rng.standard_normal(count) * 10.0 ** rng.integers(-7, 1, count)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks


def writeBlocks(rng: np.random.Generator) -> None:
    cases = {}
    for name in BLOCKS:
        blocks = randomBlocks(name, 12, rng)
        values = gguf.dequantize(blocks, Type[name]).astype(np.float32)
        cases[name] = {
            "blocks": base64.b64encode(blocks.tobytes()).decode(),
            "first": [float(value) for value in values.reshape(-1)[:8]],
            "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        }
    writeJson(HERE / "blocks.json", cases)


def codes(values: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """A matrix in a type; gguf-py quantizes no K-quants, so that theirs are random, of about the same size."""
    if not name.endswith("_K"):
        return gguf.quantize(values, Type[name])
    rows, columns = values.shape
    _, width = gguf.GGML_QUANT_SIZES[Type[name]]
    blocks = rng.integers(0, 256, (rows * columns // 256, width), dtype=np.uint8)
    deviation = float(values.std())
    for at in HALVES[name]:
        scale = deviation / {"Q4_K": 200, "Q5_K": 400, "Q6_K": 2000}[name]
        blocks[:, at : at + 2] = np.full(len(blocks), scale, np.float16).view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)



def byteLetters() -> list[str]:
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 256
    for byte in range(256):
        letters[byte] = chr(byte) if byte in shown else chr(extra)
        extra += byte not in shown
    return [letters[byte] for byte in range(256)]


def byteVocabulary(writer: gguf.GGUFWriter, pre: str) -> int:
    letters = byteLetters()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    merges = ["t h", "Ġ t", "Ġt h", "h e", "a t", "Ġ a", "Ġ c", "Ġc at", "i n", "o n", "l l", "Ġ s", "s a", "Ġs at"]
    merges += ["1 2", "12 3", "Ġ 1", "2 0", "' d", "' s"]
    tokens = [*special, *letters, *[merge.replace(" ", "") for merge in merges], "<think>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, *[1] * (len(tokens) - 4), 4])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}")
    return len(tokens)


def pieceVocabulary(writer: gguf.GGUFWriter) -> int:
    words = ["▁", "▁t", "▁the", "he", "th", "▁c", "at", "▁cat", "▁s", "▁sat", "in", "on", "ll", "12", "123", "▁a"]
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)], *words]
    tokens += [letter for letter in letters if letter not in tokens]
    kinds = [2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)]
    scores = [0.0] * 259 + [-float(at) for at in range(len(tokens) - 259)]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    return len(tokens)


def interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    return values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def writeModel(name: str, architecture: str, types: list[str], rng: np.random.Generator, width: int = 32) -> None:
    """Two layers, or a wide one; `types` in turn for the matrices."""
    heads, keyHeads, headSize, inner, layers = 4, 2, 8, max(64, width), 2 if width < 256 else 1
    isGemma = architecture.startswith("gemma")
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", architecture)
    size = pieceVocabulary(writer) if architecture == "llama" and name == "pieces" or isGemma else None
    size = size or byteVocabulary(writer, "qwen2" if architecture.startswith("qwen") else "llama-bpe")
    writer.add_block_count(layers)
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(keyHeads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(20000.0)
    if architecture == "llama":
        writer.add_rope_dimension_count(headSize)
    writer.add_key_length(headSize)
    writer.add_value_length(headSize)
    writer.add_vocab_size(size)
    at = 0

    def matrix(tensor: str, rows: int, columns: int, turns: int = 0) -> None:
        nonlocal at
        values = (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)
        if turns and architecture == "llama":
            values = interleaved(values, turns)
        kind = types[at % len(types)]
        at += 1
        block = gguf.GGML_QUANT_SIZES[Type[kind]][0]
        if columns % block != 0:
            kind = "F16"
        if kind in ("F32", "F16"):
            writer.add_tensor(tensor, values.astype(np.float16 if kind == "F16" else np.float32))
        else:
            writer.add_tensor(tensor, codes(values, kind, rng), raw_dtype=Type[kind])

    def vector(tensor: str, length: int, around: float = 1.0) -> None:
        writer.add_tensor(tensor, (around + 0.2 * rng.standard_normal(length)).astype(np.float32))

    matrix("token_embd.weight", size, width)
    vector("output_norm.weight", width)
    if architecture == "qwen2":
        matrix("output.weight", size, width)
    for layer in range(layers):
        b = f"blk.{layer}."
        vector(b + "attn_norm.weight", width)
        vector(b + "ffn_norm.weight", width)
        matrix(b + "attn_q.weight", heads * headSize, width, heads)
        matrix(b + "attn_k.weight", keyHeads * headSize, width, keyHeads)
        matrix(b + "attn_v.weight", keyHeads * headSize, width)
        matrix(b + "attn_output.weight", width, heads * headSize)
        matrix(b + "ffn_gate.weight", inner, width)
        matrix(b + "ffn_up.weight", inner, width)
        matrix(b + "ffn_down.weight", width, inner)
        if architecture == "qwen2":
            for part, length in (("q", heads), ("k", keyHeads), ("v", keyHeads)):
                vector(f"{b}attn_{part}.bias", length * headSize, 0)
        if architecture == "qwen3" or architecture == "gemma3":
            vector(b + "attn_q_norm.weight", headSize)
            vector(b + "attn_k_norm.weight", headSize)
        if architecture in ("gemma2", "gemma3"):
            vector(b + "post_attention_norm.weight", width)
            vector(b + "post_ffw_norm.weight", width)
    if architecture in ("gemma2", "gemma3"):
        writer.add_sliding_window(8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def answers(folder: Path, file: str, texts: list[str], settings: dict | None = None) -> dict:
    """`settings` of the config are those that transformers does not read in the file."""
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    ids = [tokenizer(text)["input_ids"] for text in texts]
    config = AutoConfig.from_pretrained(folder, gguf_file=file)
    for key, value in (settings or {}).items():
        setattr(config, key, value)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, config=config, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = [model(torch.tensor([row])).logits[0] for row in ids]
    return {"texts": texts, "ids": ids, "logits": logits, "model": model}


MODELS = {
    "llama": ("llama", ["Q8_0", "Q4_0", "Q4_1", "F16", "Q5_0", "Q5_1", "BF16"]),
    "pieces": ("llama", ["Q4_0"]),
    "qwen2": ("qwen2", ["Q8_0"]),
    "qwen3": ("qwen3", ["Q4_1", "Q8_0"]),
    "gemma2": ("gemma2", ["Q8_0", "Q4_0"]),
    "gemma3": ("gemma3", ["Q8_0"]),
}
# What transformers does not read in a file.
SETTINGS = {
    "qwen3": {"head_dim": 8},
    "gemma2": {"query_pre_attn_scalar": 8},
    "gemma3": {"query_pre_attn_scalar": 8},
}


def main() -> None:
    setUp()
    HERE.mkdir(exist_ok=True)
    rng = np.random.default_rng(7)
    writeBlocks(rng)
    found = {}
    for name, (architecture, types) in MODELS.items():
        types = [kind for kind in types if kind != "BF16"]
        writeModel(name, architecture, types, rng)
        made = answers(HERE, f"{name}.gguf", TEXTS, SETTINGS.get(name))
        last = [[round(float(value), 5) for value in rows[-1]] for rows in made["logits"]]
        found[name] = {"texts": made["texts"], "ids": made["ids"], "last": last}
    writeModel("kquants", "llama", ["Q4_K", "Q5_K", "Q6_K"], rng, width=256)
    made = answers(HERE, "kquants.gguf", TEXTS[:1])
    last = [[round(float(value), 5) for value in rows[-1]] for rows in made["logits"]]
    found["kquants"] = {"texts": TEXTS[:1], "ids": made["ids"], "last": last}
    writeJson(HERE / "answers.json", found)
    if len(sys.argv) > 1:
        file = Path(sys.argv[1])
        made = answers(file.parent, file.name, ["The capital of France is", *TEXTS])
        rows = []
        for text, ids, logits in zip(made["texts"], made["ids"], made["logits"]):
            greedy = made["model"].generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0].tolist()
            sample = [round(float(value), 5) for value in logits[-1][::97]]
            rows.append({"text": text, "ids": ids, "sample": sample, "greedy": greedy[len(ids) :]})
        writeJson(HERE / "smollm2.json", rows)


main()
