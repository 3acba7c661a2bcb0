"""Preference losses by TRL's own trainers on the tiny Llama -> golden/preferences/.

Each case is a few AdamW steps of DPOTrainer, KTOTrainer, ORPOTrainer or CPOTrainer (SimPO) in file order, with the
token rows that the trainer made, and of every step the loss, the margin, the accuracy and the gradient's norm, of the
first and the last also by matrix. `rows.json` has text, chat and implicit prompts as the trainers encode them.
"""

import json
import shutil
import sys
import tempfile
import warnings

import torch
from common import IGNORE, madeBy, setUp, writeJson
from datasets import Dataset, disable_progress_bars
from llamaParts import GOLDEN, HOME, NAMES, TOWNS, TRADES, loadModel, savePeft
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

OUT = GOLDEN / "preferences"
BASE = HOME / "untied"
STEPS = 4
TARGETS = ["q_proj", "v_proj", "o_proj", "down_proj"]
TEMPLATE = (
    "{% for m in messages %}{{ bos_token if loop.first else '' }}{{ m.role }}: {{ m.content }}"
    "{{ eos_token if m.role == 'assistant' else '' }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def pairs() -> list[dict]:
    """Eighteen prompts with two answers of unlike length."""
    rows = []
    for i in range(18):
        name, town, trade = NAMES[i % 8], TOWNS[i % 6], TRADES[i % 5]
        good = f"{name} of {town} is {trade}" + (" and has cats" if i % 3 == 0 else "") + "."
        bad = f"{NAMES[(i + 3) % 8]} went" + (f" to {TOWNS[(i + 1) % 6]}, and {trade} came too" if i % 2 else "") + "."
        rows.append({"prompt": f"name: {name} | town: {town}\n", "chosen": good, "rejected": bad})
    return rows


def labelled() -> list[dict]:
    """Seven good and nine bad answers, in no order."""
    return [
        {
            "prompt": row["prompt"],
            "completion": row["chosen" if i % 5 in (0, 3) else "rejected"],
            "label": i % 5 in (0, 3),
        }
        for i, row in enumerate(pairs()[:16])
    ]


def tokenizerWith(template: str | None = None):
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokenizer.chat_template = template
    return tokenizer


def adapterAt(folder: str):
    return PeftModel.from_pretrained(loadModel(BASE), OUT / folder, is_trainable=True)


def writeRows() -> None:
    for name, rows in [("pairs", pairs()), ("labelled", labelled())]:
        (OUT / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def makeAdapters() -> None:
    """One as training begins (B = 0), and one that has learned something."""
    for name, seed, init in [("fresh", 7, True), ("learned", 8, False)]:
        torch.manual_seed(seed)
        config = LoraConfig(
            task_type="CAUSAL_LM", r=3, lora_alpha=6, target_modules=TARGETS, init_lora_weights=init
        )
        savePeft(get_peft_model(loadModel(BASE), config), OUT / name)


def shared(folder: str, batch: int, accumulation: int) -> dict:
    return {
        "output_dir": folder,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        "max_steps": STEPS,
        "learning_rate": 0.01,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "seed": 11,
    }


def record(trainer) -> dict:
    """Trains, and reads of each micro-batch its loss and of each step its gradients, before clipping."""
    losses, norms, matrices = [], [], []
    compute = trainer.compute_loss

    def computeLoss(model, inputs, *args, **kwargs):
        loss = compute(model, inputs, *args, **kwargs)
        losses.append(loss.detach().item())
        return loss

    trainer.compute_loss = computeLoss
    clip = trainer.accelerator.clip_grad_norm_

    def clipGradNorm(parameters, *args, **kwargs):
        model = trainer.accelerator.unwrap_model(trainer.model)
        named = {
            name.replace(".default", "").removeprefix("base_model.model."): p.grad.norm().item()
            for name, p in model.named_parameters()
            if p.requires_grad and p.grad is not None
        }
        matrices.append(named)
        norm = clip(parameters, *args, **kwargs)
        norms.append(float(norm))
        return norm

    trainer.accelerator.clip_grad_norm_ = clipGradNorm
    metrics = {"margin": [], "accuracy": []}
    log = trainer.log

    def keep(logs, *args, **kwargs):
        stored = getattr(trainer, "_metrics", None) or getattr(trainer, "_stored_metrics", {})
        own = stored.get("train", {})
        for name, key in [("margin", "rewards/margins"), ("accuracy", "rewards/accuracies")]:
            if own.get(key):
                metrics[name].append(list(own[key]))
        return log(logs, *args, **kwargs)

    trainer.log = keep
    trainer.train()
    size = trainer.args.gradient_accumulation_steps
    steps = [losses[at : at + size] for at in range(0, len(losses), size)]
    return {
        "losses": [sum(step) / len(step) for step in steps],
        "margins": [sum(step) / len(step) for step in metrics["margin"][:STEPS]],
        "accuracies": [sum(step) / len(step) for step in metrics["accuracy"][:STEPS]],
        "gradNorms": norms,
        "matrices": matrices[:1] + matrices[-1:],
    }


def isolated(trainer, start: str | None) -> None:
    """The weights of the golden's own start, in a trainer that made an adapter of its own."""
    if start is None:
        return
    source = adapterAt(start).state_dict()
    own = trainer.accelerator.unwrap_model(trainer.model)
    with torch.no_grad():
        for name, p in own.named_parameters():
            if ".default." in name:
                p.copy_(source[name])


def peftConfig() -> LoraConfig:
    return LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=6, target_modules=TARGETS)


def dpo(folder: str, start: str | None = "fresh", batch=3, accumulation=2, **options):
    args = DPOConfig(**shared(folder, batch, accumulation), **options)
    common = {"args": args, "train_dataset": Dataset.from_list(pairs()), "processing_class": tokenizerWith()}
    if start == "fresh":
        trainer = DPOTrainer(model=loadModel(BASE), peft_config=peftConfig(), **common)
        isolated(trainer, start)
    elif start is None:
        model = loadModel(BASE)
        model.name_or_path = model.config._name_or_path = str(BASE)
        trainer = DPOTrainer(model=model, **common)
    else:
        trainer = DPOTrainer(model=adapterAt(start), **common)
    rows = [
        {"prompt": row["prompt_ids"], "chosen": row["chosen_ids"], "rejected": row["rejected_ids"]}
        for row in trainer.train_dataset
    ]
    return trainer, rows


def kto(folder: str, start: str = "fresh", batch=4, accumulation=2, **options):
    args = KTOConfig(**shared(folder, batch, accumulation), **options)
    common = {"args": args, "train_dataset": Dataset.from_list(labelled()), "processing_class": tokenizerWith()}
    if start == "fresh":
        trainer = KTOTrainer(model=loadModel(BASE), peft_config=peftConfig(), **common)
        isolated(trainer, start)
    else:
        trainer = KTOTrainer(model=adapterAt(start), **common)
    rows = [
        {"prompt": row["prompt_ids"], "completion": row["completion_ids"], "label": row["label"]}
        for row in trainer.train_dataset
    ]
    return trainer, rows


def pairTrainer(kind, config):
    def make(folder: str, start: str = "fresh", batch=3, accumulation=1, **options):
        args = config(**shared(folder, batch, accumulation), **options)
        tokenizer = tokenizerWith()
        tokenizer.pad_token = tokenizer.eos_token
        trainer = kind(
            model=adapterAt(start), args=args, train_dataset=Dataset.from_list(pairs()), processing_class=tokenizer
        )
        rows = []
        for row in trainer.train_dataset:
            prompt = row["prompt_input_ids"]
            chosen, rejected = row["chosen_input_ids"], row["rejected_input_ids"]
            cut = [sum(label == IGNORE for label in row[f"{side}_labels"]) for side in ["chosen", "rejected"]]
            assert cut == [len(prompt)] * 2 and chosen[: cut[0]] == prompt == rejected[: cut[0]]
            rows.append({"prompt": prompt, "chosen": chosen[cut[0] :], "rejected": rejected[cut[0] :]})
        return trainer, rows

    return make


EPS = 0.1
orpo, cpo = pairTrainer(ORPOTrainer, ORPOConfig), pairTrainer(CPOTrainer, CPOConfig)
# Of a case: who trains, its options as TRL has them, and the settings of ours.
CASES = {
    "dpo": (dpo, {"beta": 0.2}, {"loss": "dpo", "beta": 0.2}),
    "dpoLearned": (dpo, {"beta": 0.2, "start": "learned"}, {"loss": "dpo", "beta": 0.2}),
    "dpoFull": (dpo, {"beta": 0.2, "start": None}, {"loss": "dpo", "beta": 0.2}),
    # TRL 1.16 has no label smoothing in `sigmoid`; these weights make it of `sigmoid` and `robust`.
    "dpoSmoothed": (
        dpo,
        {
            "beta": 0.2,
            "start": "learned",
            "label_smoothing": EPS,
            "loss_type": ["sigmoid", "robust"],
            "loss_weights": [2 * (1 - EPS), -(1 - 2 * EPS)],
        },
        {"loss": "dpo", "beta": 0.2, "labelSmoothing": EPS},
    ),
    "dpoRobust": (
        dpo,
        {"beta": 0.2, "start": "learned", "label_smoothing": EPS, "loss_type": "robust"},
        {"loss": "dpo", "beta": 0.2, "labelSmoothing": EPS, "dpoLoss": "robust"},
    ),
    "dpoIpo": (dpo, {"beta": 0.3, "loss_type": "ipo"}, {"loss": "dpo", "beta": 0.3, "dpoLoss": "ipo"}),
    "dpoHinge": (dpo, {"beta": 0.5, "loss_type": "hinge"}, {"loss": "dpo", "beta": 0.5, "dpoLoss": "hinge"}),
    "dpoNormalized": (
        dpo,
        {"beta": 2.0, "loss_type": "sigmoid_norm"},
        {"loss": "dpo", "beta": 2.0, "dpoLoss": "sigmoid_norm"},
    ),
    "kto": (kto, {"beta": 0.2, "accumulation": 1}, {"loss": "kto", "beta": 0.2}),
    "ktoWeighted": (
        kto,
        {"beta": 0.3, "start": "learned", "desirable_weight": 1.5, "undesirable_weight": 0.7},
        {"loss": "kto", "beta": 0.3, "desirableWeight": 1.5, "undesirableWeight": 0.7},
    ),
    "orpo": (orpo, {"beta": 0.4, "batch": 4}, {"loss": "orpo", "beta": 0.4}),
    "simpo": (
        cpo,
        {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 1.0, "cpo_alpha": 0.0, "accumulation": 2},
        {"loss": "simpo", "beta": 2.0, "simpoGamma": 1.0},
    ),
    "simpoCpo": (
        cpo,
        {
            "loss_type": "simpo",
            "beta": 1.0,
            "simpo_gamma": 0.5,
            "cpo_alpha": 0.5,
            "label_smoothing": 0.05,
            "batch": 4,
        },
        {"loss": "simpo", "beta": 1.0, "simpoGamma": 0.5, "cpoAlpha": 0.5, "labelSmoothing": 0.05},
    ),
}


def run(name: str) -> None:
    make, options, settings = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        trainer, rows = make(folder, **options)
        log = record(trainer)
    args = trainer.args
    writeJson(
        OUT / f"{name}.json",
        {
            "madeBy": madeBy("preferences.py"),
            "start": options.get("start", "fresh"),
            "batchSize": args.per_device_train_batch_size,
            "gradientAccumulation": args.gradient_accumulation_steps,
            "learningRate": args.learning_rate,
            "settings": settings,
            "rows": rows,
            **log,
        },
        indent=None,
    )
    print(name, [round(loss, 5) for loss in log["losses"]], [round(m, 4) for m in log["margins"]], log["accuracies"])


def chat(*turns: str) -> list[dict]:
    return [{"role": "assistant" if at % 2 else "user", "content": turn} for at, turn in enumerate(turns)]


def encodings() -> None:
    """Rows of every form, as DPOTrainer and KTOTrainer encode them."""
    answer = [{"role": "assistant", "content": "ada is a baker."}]
    other = [{"role": "assistant", "content": "no one."}]
    texts = [
        {"prompt": "name: ada |", "chosen": " town: rome", "rejected": " town: oslo."},
        # The border lies within a token of one of the two.
        {"prompt": "name: a", "chosen": "da of rome", "rejected": " went"},
        {"prompt": "", "chosen": "ada</s>", "rejected": "gus"},
    ]
    implicit = [
        {"chosen": "ada of rome is a baker.", "rejected": "ada of rome is no one."},
        {"chosen": "ada", "rejected": "ada of rome"},
        {"chosen": "name: gus of oslo", "rejected": "name: gus"},
    ]
    chats = [
        {"prompt": chat("name?"), "chosen": answer, "rejected": other},
        {"prompt": chat("name?", "ada.", "town?"), "chosen": answer, "rejected": other},
    ]
    implicitChats = [
        {"chosen": chat("name?", "ada."), "rejected": chat("name?", "gus.")},
        {"chosen": chat("name?", "ada.", "town?", "rome"), "rejected": chat("name?", "ada.", "town?", "oslo")},
    ]
    kinds = {"texts": texts, "implicit": implicit, "chats": chats, "implicitChats": implicitChats}
    result = {"madeBy": madeBy("preferences.py"), "template": TEMPLATE}
    for name, rows in kinds.items():
        for length in [None, 20]:
            with tempfile.TemporaryDirectory() as folder:
                trainer = DPOTrainer(
                    model=loadModel(BASE),
                    args=DPOConfig(**shared(folder, 2, 1), max_length=length),
                    train_dataset=Dataset.from_list([{**row, "line": at + 1} for at, row in enumerate(rows)]),
                    processing_class=tokenizerWith(TEMPLATE),
                    peft_config=peftConfig(),
                )
            encoded = []
            for row in trainer.train_dataset:
                batch = trainer.data_collator.torch_call([row])
                sides = []
                for ids, present, own in zip(batch["input_ids"], batch["attention_mask"], batch["completion_mask"]):
                    kept = int(present.sum())
                    masked = ids.masked_fill(own == 0, IGNORE)
                    sides.append({"ids": ids[:kept].tolist(), "labels": masked[:kept].tolist()})
                encoded.append({"line": row["line"], "chosen": sides[0], "rejected": sides[1]})
            key = name if length is None else f"{name}{length}"
            result[key] = {"rows": rows, "maxLength": length, "encoded": encoded}
    writeJson(OUT / "rows.json", result, indent=None)


if __name__ == "__main__":
    setUp()
    disable_progress_bars()
    torch.use_deterministic_algorithms(False)
    warnings.filterwarnings("ignore")
    names = sys.argv[1:]
    if not names:
        shutil.rmtree(OUT, ignore_errors=True)
        makeAdapters()
        writeRows()
        encodings()
    for name in names or CASES:
        run(name)
