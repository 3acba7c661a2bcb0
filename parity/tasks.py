"""A tiny BERT without a head, with a WordPiece tokenizer, and how transformers and PEFT train it on rows of each task:
golden/tasks. Twenty steps of LoRA on query and value with the head, as ../shared/golden/minilm-sentiment has them of a
real model: loss and gradient norm of each, evaluation before and after, adapters as PEFT saves them.
"""

import json
import shutil

import torch
from common import GOLDEN, madeBy, setUp, writeJson
from llamaParts import savePeft
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
)

HOME = GOLDEN / "tasks"
STEPS, BATCH, LR, CLIP = 20, 4, 5e-3, 0.5
GOOD = ["lovely", "warm", "funny", "bright", "wise"]
BAD = ["dull", "cold", "noisy", "flat", "lazy"]
THINGS = ["film", "play", "song", "book", "talk", "show"]
NAMES = ["Ada", "Bo", "Cleo", "Dan", "Eve"]
TOWNS = ["Rome", "Oslo", "Lima", "Bonn"]


def textRows(start: int, count: int) -> list[dict]:
    rows = []
    for i in range(start, start + count):
        good = (i * 7 + i // 3) % 2 == 0
        word = (GOOD if good else BAD)[(i * 3) % 5]
        extra = f" and {(GOOD if good else BAD)[i % 5]}" if i % 3 == 0 else ""
        rows.append(
            {"text": f"The {THINGS[i % 6]} was {word}{extra}.", "label": "positive" if good else "negative"}
        )
    return rows


def tagRows(start: int, count: int) -> list[dict]:
    rows = []
    for i in range(start, start + count):
        name, town = NAMES[i % 5], TOWNS[(i * 3) % 4]
        words = [name, "went", "to", town] + (["and", "came", "back"] if i % 2 else []) + ["."]
        tags = ["B-PER" if w == name else "B-LOC" if w == town else "O" for w in words]
        rows.append({"tokens": words, "tags": tags})
    return rows


def askRows(start: int, count: int) -> list[dict]:
    """Of one length, since transformers lets padding take part in the softmax."""
    rows = []
    for i in range(start, start + count):
        name, town = NAMES[i % 5], TOWNS[(i * 3) % 4]
        context = f"{name} went to {town} ."
        answer = name if i % 2 else town
        rows.append(
            {
                "question": "Who went?" if i % 2 else "Went where?",
                "context": context,
                "answer_start": context.index(answer),
                "answer_text": answer,
            }
        )
    return rows


def makeTokenizer() -> PreTrainedTokenizerFast:
    texts = [r["text"] for r in textRows(0, 60)] + [" ".join(r["tokens"]) for r in tagRows(0, 40)]
    texts += [r["question"] for r in askRows(0, 4)]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=88, special_tokens=special, show_progress=False)
    )
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def saveBase(tokenizer) -> None:
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=40,
        max_position_embeddings=40,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(5)
    model = BertModel(config)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(8 if p.dim() == 2 else 1)
    model.save_pretrained(HOME / "model")
    (HOME / "model" / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(HOME / "model")


def encodeText(tok, rows):
    enc = tok([r["text"] for r in rows], padding="longest", return_tensors="pt")
    return {**enc, "labels": torch.tensor([["negative", "positive"].index(r["label"]) for r in rows])}


TAGS = ["B-LOC", "B-PER", "O"]


def encodeTags(tok, rows):
    enc = tok([r["tokens"] for r in rows], is_split_into_words=True, padding="longest", return_tensors="pt")
    labels = torch.full_like(enc["input_ids"], -100)
    for i, row in enumerate(rows):
        before = None
        for at, word in enumerate(enc.word_ids(i)):
            if word is not None and word != before:
                labels[i, at] = TAGS.index(row["tags"][word])
            before = word
    return {**enc, "labels": labels}


def encodeAsk(tok, rows):
    enc = tok(
        [r["question"] for r in rows],
        [r["context"] for r in rows],
        padding="longest",
        return_tensors="pt",
        return_offsets_mapping=True,
    )
    offsets = enc.pop("offset_mapping").tolist()
    starts, ends = [], []
    for i, row in enumerate(rows):
        begin, end = row["answer_start"], row["answer_start"] + len(row["answer_text"])
        inside = [at for at, part in enumerate(enc.sequence_ids(i)) if part == 1]
        starts.append(next(at for at in inside if offsets[i][at][0] == begin))
        ends.append(next(at for at in inside if offsets[i][at][1] == end))
    return {**enc, "start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}


TASKS = {
    "text-classification": (AutoModelForSequenceClassification, "SEQ_CLS", textRows, encodeText, 2, BATCH),
    "token-classification": (AutoModelForTokenClassification, "TOKEN_CLS", tagRows, encodeTags, 3, BATCH),
    # One row a step: rows differ in length, and transformers lets padding take part in the softmax.
    "question-answering": (AutoModelForQuestionAnswering, "QUESTION_ANS", askRows, encodeAsk, 2, 1),
}


def run(name: str, tok) -> dict:
    auto, task, makeRows, encode, labels, size = TASKS[name]
    torch.manual_seed(11)
    extra = {} if task == "QUESTION_ANS" else {"num_labels": labels}
    model = auto.from_pretrained(HOME / "model", dtype=torch.float32, attn_implementation="eager", **extra)
    model.name_or_path = "model"
    model = get_peft_model(
        model, LoraConfig(task_type=task, r=2, lora_alpha=4, lora_dropout=0.0, target_modules=["query", "value"])
    )
    # PEFT's class for spans leaves token types out on the way to the model.
    call = model.base_model if task == "QUESTION_ANS" else model
    train, valid = makeRows(0, STEPS * size), makeRows(STEPS * size, 12)

    @torch.no_grad()
    def evaluate() -> float:
        # Row by row: a mean over what counts, without padding.
        total = count = 0
        for row in valid:
            batch = encode(tok, [row])
            n = int((batch["labels"] != -100).sum()) if task == "TOKEN_CLS" else 1
            total += call(**batch).loss.item() * n
            count += n
        return total / count

    savePeft(model, HOME / name / "adapter-initial")
    before = evaluate()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=0.0)
    steps = []
    for step in range(STEPS):
        loss = call(**encode(tok, train[step * size : (step + 1) * size])).loss
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        steps.append({"loss": loss.item(), "norm": norm.item()})
    savePeft(model, HOME / name / "adapter-final")
    for part, rows in (("train", train), ("valid", valid)):
        (HOME / name / f"{part}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return {"batch": size, "steps": steps, "before": before, "after": evaluate()}


if __name__ == "__main__":
    setUp()
    shutil.rmtree(HOME, ignore_errors=True)
    tok = makeTokenizer()
    saveBase(tok)
    results = {name: run(name, tok) for name in TASKS}
    pairs = tok([["The film was dull."]][0], ["A book!"])
    writeJson(
        HOME / "golden.json",
        {
            "madeBy": madeBy("tasks.py"),
            "learningRate": LR,
            "clip": CLIP,
            "pair": {"ids": pairs["input_ids"][0], "types": pairs["token_type_ids"][0]},
            "tasks": results,
        },
    )
    for name, result in results.items():
        print(name, result["before"], result["after"], result["steps"][-1])
