"""The tiny Llamas that the goldens stand on: their texts, their tokenizer, their weights."""

import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from common import GOLDEN, IGNORE
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

HOME = GOLDEN / "llama"

VARIANTS = {
    "tied": {"tie_word_embeddings": True},
    "untied": {"tie_word_embeddings": False},
    "headDim16": {"tie_word_embeddings": True, "head_dim": 16},
    "bias": {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
    "ropeLlama3": {
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
}

NAMES = ["ada", "bela", "cato", "dana", "enid", "fritz", "gus", "hanne"]
TOWNS = ["rome", "lund", "oslo", "bath", "graz", "turin"]
TRADES = ["a baker", "a tailor", "no one", "a drummer in the band", "the mayor"]


def promptRows(start: int, count: int) -> list[dict]:
    """Rows of unlike length, none of them twice among the first 120."""
    rows = []
    for i in range(start, start + count):
        name, town, trade = NAMES[i % 8], TOWNS[(i * 5 + i // 8) % 6], TRADES[(i * 3 + i // 16) % 5]
        extra = f" and has {2 + i % 7} cats" if i % 3 == 0 else ""
        rows.append({"prompt": f"name: {name} | town: {town}\n", "completion": f"{name} of {town} is {trade}{extra}."})
    return rows


def textRows() -> list[dict]:
    return [
        {"text": f"{name} went to {TOWNS[i % 6]}, and {TRADES[i % 5]} came too."} for i, name in enumerate(NAMES[:5])
    ]


def makeTokenizer() -> Tokenizer:
    """A byte-level BPE of 96 pieces that puts BOS first; ids 0 <unk>, 1 <s>, 2 </s>."""
    texts = [row["prompt"] + row["completion"] for row in promptRows(0, 120)] + [row["text"] for row in textRows()]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=96, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    assert tokenizer.get_vocab_size() == 96
    return tokenizer


def saveTokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": None,
        "model_max_length": 128,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def encodeRow(tokenizer: Tokenizer, row: dict) -> dict:
    """BOS + text + EOS; labels on completion and EOS, or everywhere for a text row (labels[i] belongs to ids[i])."""
    if "text" in row:
        ids = tokenizer.encode(row["text"]).ids + [2]
        return {"ids": ids, "labels": list(ids)}
    ids = tokenizer.encode(row["prompt"] + row["completion"]).ids + [2]
    head = tokenizer.encode(row["prompt"]).ids
    assert ids[: len(head)] == head, "the prompt's pieces are to be a prefix of the row's"
    return {"ids": ids, "labels": [IGNORE] * len(head) + ids[len(head) :]}


def buildModel(variant: str) -> LlamaForCausalLM:
    """Seeded weights, large enough that logits differ visibly; norms near 1, biases not zero."""
    sizes = {
        "vocab_size": 96,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "max_position_embeddings": 128,
    }
    config = LlamaConfig(
        **{
            **sizes,
            "rms_norm_eps": 1e-5,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": None,
            **VARIANTS[variant],
        }
    )
    model = LlamaForCausalLM(config).float().eval()
    g = torch.Generator().manual_seed(1 + list(VARIANTS).index(variant))
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if "norm" in name:
                p.copy_(1 + 0.2 * noise)
            elif "embed" in name or "lm_head" in name:
                p.copy_(0.5 * noise)
            else:
                p.copy_((0.1 if name.endswith("bias") else p.shape[-1] ** -0.5) * noise)
    return model


def saveModel(model, folder: Path, tokenizer: Tokenizer) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    saveTokenizer(tokenizer, folder)
    (folder / "model.safetensors").chmod(0o644)


def loadModel(folder: Path, dtype=torch.float32):
    """What any user of transformers does; eager attention is the plain formula."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    model.name_or_path = folder.name
    return model.eval()


def savePeft(model, folder: Path) -> None:
    """PEFT's own files, without the model card, which says nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    (folder / "adapter_model.safetensors").chmod(0o644)


def padBatch(rows: list[dict]) -> dict:
    """Rows padded on the right to the longest, with the attention mask PyTorch users give."""
    longest = max(len(row["ids"]) for row in rows)
    gap = [longest - len(row["ids"]) for row in rows]
    return {
        "input_ids": torch.tensor([row["ids"] + [0] * n for row, n in zip(rows, gap)]),
        "attention_mask": torch.tensor([[1] * len(row["ids"]) + [0] * n for row, n in zip(rows, gap)]),
        "labels": torch.tensor([row["labels"] + [IGNORE] * n for row, n in zip(rows, gap)]),
    }


def packBatch(rows: list[dict]) -> dict:
    """The same rows in one line: positions restart, the first label of a document is ignored."""
    return {
        "input_ids": torch.tensor([[i for row in rows for i in row["ids"]]]),
        "position_ids": torch.tensor([[i for row in rows for i in range(len(row["ids"]))]]),
        "labels": torch.tensor([[label for row in rows for label in [IGNORE, *row["labels"][1:]]]]),
    }


def lossSum(model, batch: dict) -> tuple[torch.Tensor, int]:
    """Cross-entropy summed over the labels of a batch, and their count: position i predicts label i + 1."""
    inputs = {k: v for k, v in batch.items() if k != "labels"}
    logits = model(**inputs, use_cache=False).logits[:, :-1].float()
    labels = batch["labels"][:, 1:]
    total = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORE, reduction="sum"
    )
    return total, int((labels != IGNORE).sum())


def gradNorms(named) -> dict:
    return {name: p.grad.norm().item() for name, p in named if p.requires_grad}
