"""Random configs of every family over the keys that Lowrank follows, and what transformers answers with them ->
golden/configs.json, for tests/parity/configs.test.ts.

    python configs.py                      # the golden
    python configs.py 7 20 /tmp/more.json  # seed 7, 20 of each family: LOWRANK_CONFIG_CASES=/tmp/more.json vitest ...

A case is a config.json as text, token ids, logits of some positions and the mean loss. There are no weights in it: both
sides compute them from the seed, the name and the shape of a tensor (`weightsOf`). Keys that do not change numbers get
values at random too.
"""

import copy
import json
import random
import sys
from pathlib import Path

import numpy
import torch
from common import GOLDEN, madeBy, setUp, writeJson
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, Gemma3ForConditionalGeneration

VOCABULARY = 24
LENGTH = 14
POSITIONS = [0, 5, 13]
LAYER_KINDS = ["full_attention", "sliding_attention"]


def hashOf(text: str) -> int:
    """FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def uniform(seed: int, count: int) -> numpy.ndarray:
    """mulberry32 from -1 to 1: its state is a counter, so all numbers are made at once."""
    state = (numpy.arange(1, count + 1, dtype=numpy.uint64) * 0x6D2B79F5 + seed).astype(numpy.uint32)
    with numpy.errstate(over="ignore"):
        t = (state ^ (state >> 15)) * (state | 1)
        t ^= t + (t ^ (t >> 7)) * (t | 61)
        bits = t ^ (t >> 14)
    return bits.astype(numpy.float64) / 2**31 - 1


def weightsOf(seed: int, name: str, shape: tuple, one: float) -> torch.Tensor:
    """Norms near `one` (Gemma's add 1 themselves), biases not zero."""
    noise = uniform((seed + hashOf(name)) & 0xFFFFFFFF, int(numpy.prod(shape)))
    if len(shape) == 1:
        values = 0.2 * noise if name.endswith("bias") else one + 0.3 * noise
    else:
        values = noise * 1.5 / numpy.sqrt(min(shape))
    return torch.tensor(values.astype(numpy.float32)).reshape(shape)


class Chooser(random.Random):
    def maybe(self, config: dict, key: str, *values: object, share: float = 0.5) -> None:
        if self.random() < share:
            config[key] = copy.deepcopy(self.choice(values))


def sizes(draw: Chooser, config: dict) -> None:
    heads = draw.choice([1, 2, 4])
    config["vocab_size"] = VOCABULARY
    config["hidden_size"] = heads * draw.choice([4, 6, 8])
    config["intermediate_size"] = draw.choice([4, 10, 16])
    config["num_hidden_layers"] = draw.choice([1, 2, 3, 5])
    config["num_attention_heads"] = heads
    config["max_position_embeddings"] = draw.choice([4, 8, 16, 64])
    draw.maybe(config, "tie_word_embeddings", True, False)
    draw.maybe(config, "rms_norm_eps", 1e-6, 1e-5, 0.01)
    kv = draw.choice([each for each in [1, 2, 4] if heads % each == 0])
    config["num_key_value_heads"] = draw.choice([kv, kv, heads])


def scaling(draw: Chooser, config: dict, kinds: tuple = ("linear", "dynamic", "llama3", "yarn", "default")) -> dict:
    kind = draw.choice(kinds)
    made = {draw.choice(["rope_type", "rope_type", "type"]): kind}
    if kind == "default":
        return made
    made["factor"] = draw.choice([1.0, 2, 3.5, 8.0])
    native = config["max_position_embeddings"]
    if kind == "llama3":
        low = draw.choice([0.5, 1.0])
        made |= {"low_freq_factor": low, "high_freq_factor": low * draw.choice([2, 4.0])}
        made["original_max_position_embeddings"] = draw.choice([4, 8, native])
    if kind == "yarn":
        draw.maybe(made, "original_max_position_embeddings", 2, 4, 8, native)
        draw.maybe(made, "beta_fast", 4.0, 16, None)
        draw.maybe(made, "beta_slow", 0.5, 2, None)
        draw.maybe(made, "attention_factor", 0.7, 1.5, None)
        draw.maybe(made, "mscale", 1.0, 0.7, 0)
        draw.maybe(made, "mscale_all_dim", 0.5, 1.0, 0)
        draw.maybe(made, "truncate", True, False)
        draw.maybe(made, "factor", None, share=0.1)
    draw.maybe(made, "original_max_position_embeddings", 4, share=0.1)
    return made


def rotary(draw: Chooser, config: dict, kinds: tuple | None = None) -> None:
    """Both spellings, also together."""
    draw.maybe(config, "rope_theta", 100.0, 10000, 500000.0)
    made = scaling(draw, config) if kinds is None else scaling(draw, config, kinds)
    form = draw.random()
    if form < 0.35:
        config["rope_scaling"] = made
    elif form < 0.7:
        config["rope_parameters"] = made
        draw.maybe(made, "rope_theta", 300.0, 20000)
    elif form < 0.8:
        config["rope_scaling"] = made
        config["rope_parameters"] = {"rope_type": "default", "rope_theta": 77.0}
    elif form < 0.9:
        config["rope_scaling"] = None
    draw.maybe(config, "original_max_position_embeddings", 4, 8, share=0.1)


def rotaryByLayer(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "rope_theta", 100.0, 500000.0)
    draw.maybe(config, "rope_local_base_freq", 50.0, 10000.0)
    kinds = ("linear", "dynamic", "llama3", "yarn", "default")
    form = draw.random()
    if form < 0.3:
        config["rope_scaling"] = scaling(draw, config, kinds)
    elif form < 0.7:
        made = {"full_attention": scaling(draw, config, kinds)}
        draw.maybe(made["full_attention"], "rope_theta", 300.0)
        draw.maybe(made, "sliding_attention", scaling(draw, config, ("linear", "default")), None)
        if made.get("sliding_attention") is not None:
            draw.maybe(made["sliding_attention"], "rope_theta", 60.0)
        config["rope_parameters"] = made
        if draw.random() < 0.3:
            config["rope_scaling"] = scaling(draw, config, kinds)
    elif form < 0.8:
        config["rope_parameters"] = {"rope_type": "linear", "factor": 3.0}


def windows(draw: Chooser, config: dict, **more: tuple) -> None:
    draw.maybe(config, "sliding_window", 2, 3, 5, 100)
    layers = config["num_hidden_layers"]
    if "sliding_window" in config or more.get("always"):
        draw.maybe(config, "layer_types", [draw.choice(LAYER_KINDS) for _ in range(layers)], None, share=0.4)


def llama(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "attention_bias", True, False)
    draw.maybe(config, "mlp_bias", True, False)
    draw.maybe(config, "head_dim", 2, 4, 8, None)
    draw.maybe(config, "num_key_value_heads", None, share=0.2)
    draw.maybe(config, "pretraining_tp", 2)
    draw.maybe(config, "sliding_window", 3)
    rotary(draw, config)


def mistral(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "sliding_window", 2, 5, None)
    draw.maybe(config, "head_dim", 2, 8, None)
    draw.maybe(config, "num_key_value_heads", None, share=0.2)
    draw.maybe(config, "attention_bias", True, share=0.2)
    draw.maybe(config, "layer_types", ["full_attention"] * config["num_hidden_layers"], share=0.2)
    rotary(draw, config)


def qwen2(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "use_sliding_window", True, False, share=0.7)
    draw.maybe(config, "max_window_layers", 0, 1, 2)
    draw.maybe(config, "head_dim", 8, share=0.1)
    draw.maybe(config, "attention_bias", False, share=0.2)
    windows(draw, config)
    rotary(draw, config)


def qwen3(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "attention_bias", True, False)
    config["head_dim"] = draw.choice([2, 4, 8])
    draw.maybe(config, "use_sliding_window", True, False, share=0.7)
    draw.maybe(config, "max_window_layers", 0, 1, 2)
    windows(draw, config)
    rotary(draw, config)


def gemma(draw: Chooser, config: dict) -> None:
    config["head_dim"] = draw.choice([2, 4, 8])
    draw.maybe(config, "attention_bias", True, False)
    draw.maybe(config, "hidden_act", "gelu", "gelu_pytorch_tanh")
    draw.maybe(config, "hidden_activation", "gelu_pytorch_tanh", None)
    draw.maybe(config, "use_bidirectional_attention", False, None)
    rotary(draw, config)


def gemma2(draw: Chooser, config: dict) -> None:
    gemma(draw, config)
    config.pop("hidden_activation", None)
    config.pop("hidden_act", None)
    draw.maybe(config, "hidden_activation", "gelu_pytorch_tanh")
    draw.maybe(config, "query_pre_attn_scalar", 4, 64)
    draw.maybe(config, "attn_logit_softcapping", 2.0, 50.0, None)
    draw.maybe(config, "final_logit_softcapping", 2.0, 30.0, None)
    windows(draw, config, always=True)


def gemma3_text(draw: Chooser, config: dict) -> None:
    gemma2(draw, config)
    for key in ["rope_theta", "rope_scaling", "rope_parameters"]:
        config.pop(key, None)
    draw.maybe(config, "sliding_window_pattern", 2, 3)
    rotaryByLayer(draw, config)


def gemma3(draw: Chooser, config: dict) -> None:
    text = {key: config.pop(key) for key in list(config) if key != "model_type"}
    text["model_type"] = "gemma3_text"
    gemma3_text(draw, text)
    config["text_config"] = text
    draw.maybe(config, "tie_word_embeddings", True, False)
    tiny = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    config["vision_config"] = {**tiny, "image_size": 4, "patch_size": 4, "model_type": "siglip_vision_model"}
    config["mm_tokens_per_image"] = 1


def phi3(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "sliding_window", 2, 5, None)
    draw.maybe(config, "num_key_value_heads", None, share=0.2)
    draw.maybe(config, "rope_theta", 100.0)
    draw.maybe(config, "original_max_position_embeddings", 4, 8)
    config["hidden_size"] = 8 * config["num_attention_heads"]
    part = draw.choice([None, None, 0.5, 0.75, 1.0])
    if part is not None:
        config["partial_rotary_factor"] = part
    made = {}
    if draw.random() < 0.6:
        size = int(8 * (1.0 if part is None else part)) // 2
        made = {draw.choice(["type", "rope_type"]): draw.choice(["longrope", "su", "yarn"])}
        made["short_factor"] = [1 + 0.1 * at for at in range(size)]
        made["long_factor"] = [2 + 0.5 * at for at in range(size)]
        draw.maybe(made, "factor", 2.0, 4)
        draw.maybe(made, "attention_factor", 0.8, 1.3)
        if "rope_type" in made and made["rope_type"] != "longrope":
            made["rope_type"] = "longrope"
    if made or draw.random() < 0.3:
        config[draw.choice(["rope_scaling", "rope_parameters"])] = made or None


def smollm3(draw: Chooser, config: dict) -> None:
    layers = config["num_hidden_layers"]
    draw.maybe(config, "attention_bias", True, False)
    draw.maybe(config, "mlp_bias", True, False)
    draw.maybe(config, "no_rope_layer_interval", 1, 2, 3)
    draw.maybe(config, "no_rope_layers", [draw.choice([0, 1]) for _ in range(layers)])
    draw.maybe(config, "use_sliding_window", True, False)
    draw.maybe(config, "head_dim", 8, share=0.2)
    windows(draw, config)
    rotary(draw, config)


def olmo2(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "attention_bias", True, False)
    draw.maybe(config, "num_key_value_heads", None, share=0.2)
    draw.maybe(config, "head_dim", 8, share=0.1)
    rotary(draw, config)


def olmo3(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "attention_bias", True, False)
    draw.maybe(config, "num_key_value_heads", None, share=0.2)
    windows(draw, config, always=True)
    rotaryByLayer(draw, config)


def granite(draw: Chooser, config: dict) -> None:
    draw.maybe(config, "attention_bias", True, False)
    draw.maybe(config, "mlp_bias", True, False)
    draw.maybe(config, "num_key_value_heads", None, share=0.2)
    for key in ["embedding_multiplier", "logits_scaling", "residual_multiplier", "attention_multiplier"]:
        draw.maybe(config, key, 0.3, 2, 5.0)
    rotary(draw, config)


def gpt2(draw: Chooser, config: dict) -> None:
    for key in [key for key in config if key not in ("model_type", "tie_word_embeddings")]:
        config.pop(key)
    heads = draw.choice([1, 2, 4])
    # The class maps the usual names to its own.
    names = draw.choice(
        [
            ("n_embd", "n_head", "n_layer", "n_positions"),
            ("n_embd", "n_head", "n_layer", "n_positions"),
            ("hidden_size", "num_attention_heads", "num_hidden_layers", "max_position_embeddings"),
        ]
    )
    config |= dict(zip(names, (heads * draw.choice([4, 6]), heads, draw.choice([1, 2, 3]), draw.choice([14, 20]))))
    config["vocab_size"] = VOCABULARY
    draw.maybe(config, "n_inner", 6, 20, None)
    draw.maybe(config, "activation_function", "gelu_new", "gelu", "relu", "gelu_pytorch_tanh", "silu")
    draw.maybe(config, "layer_norm_epsilon", 1e-6, 0.01)
    draw.maybe(config, "scale_attn_weights", True, False)
    draw.maybe(config, "scale_attn_by_inverse_layer_idx", True, False)
    draw.maybe(config, "reorder_and_upcast_attn", True, False)
    draw.maybe(config, "add_cross_attention", False)
    for key in ["resid_pdrop", "embd_pdrop", "attn_pdrop"]:
        draw.maybe(config, key, 0.0, 0.3)


def gpt_neox(draw: Chooser, config: dict) -> None:
    config.pop("num_key_value_heads")
    config.pop("rms_norm_eps", None)
    config["hidden_size"] = config["num_attention_heads"] * 8
    draw.maybe(config, "layer_norm_eps", 1e-6, 0.01)
    draw.maybe(config, "hidden_act", "gelu", "gelu_new", "relu", "silu")
    draw.maybe(config, "attention_bias", True, False)
    draw.maybe(config, "use_parallel_residual", True, False)
    draw.maybe(config, "rotary_pct", 0.25, 0.5, 1.0)
    draw.maybe(config, "rotary_emb_base", 100, 10000)
    draw.maybe(config, "hidden_dropout", 0.2)
    rotary(draw, config)
    for key in ["rope_scaling", "rope_parameters"]:
        if config.get(key):
            draw.maybe(config[key], "partial_rotary_factor", 0.5, share=0.2)


FAMILIES = [
    llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, gemma3, phi3, smollm3, olmo2, olmo3, granite, gpt2,
    gpt_neox,
]  # fmt: skip


def ignored(draw: Chooser, config: dict) -> None:
    """Keys that change nothing but training or the reading of the file."""
    draw.maybe(config, "attention_dropout", 0.0, 0.4)
    draw.maybe(config, "initializer_range", 0.02, 0.5)
    draw.maybe(config, "use_cache", True, False)
    draw.maybe(config, "torch_dtype", "float32", "bfloat16")
    draw.maybe(config, "dtype", "float32", share=0.2)
    draw.maybe(config, "architectures", ["SomeModel"])
    draw.maybe(config, "transformers_version", "4.40.0")
    draw.maybe(config, "pad_token_id", 0, None)
    draw.maybe(config, "bos_token_id", 1)
    draw.maybe(config, "eos_token_id", 2, [2, 3])
    draw.maybe(config, "temperature", 0.3, share=0.1)
    draw.maybe(config, "output_hidden_states", False, share=0.1)
    draw.maybe(config, "output_attentions", False, share=0.1)
    draw.maybe(config, "num_labels", 3, share=0.1)


def build(config: dict, seed: int) -> torch.nn.Module:
    made = CONFIG_MAPPING[config["model_type"]].from_dict(copy.deepcopy(config))
    how = {"attn_implementation": "eager", "dtype": torch.float32}
    if config["model_type"] == "gemma3":
        model = Gemma3ForConditionalGeneration._from_config(made, **how).eval()
    else:
        model = AutoModelForCausalLM.from_config(made, **how).eval()
    one = 0.0 if config["model_type"].startswith("gemma") else 1.0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if config["model_type"] == "gpt_neox":
                name = name.replace("lm_head.", "embed_out.")
            parameter.copy_(weightsOf(seed, name, tuple(parameter.shape), one))
    return model


def answer(config: dict, seed: int) -> dict:
    ids = [int(each) for each in (uniform(seed, LENGTH) + 1) * VOCABULARY / 2]
    model = build(config, seed)
    tokens = torch.tensor([ids])
    with torch.no_grad():
        logits = model(input_ids=tokens, position_ids=torch.arange(LENGTH)[None], use_cache=False).logits[0].double()
    losses = torch.nn.functional.cross_entropy(logits[:-1], tokens[0, 1:])
    rows = [[float(f"{value:.6g}") for value in logits[at].tolist()] for at in POSITIONS]
    return {"ids": ids, "logits": rows, "loss": float(f"{losses.item():.8g}")}


def main(seed: int, count: int, path: Path) -> None:
    setUp()
    cases = []
    failed: dict[str, int] = {}
    for family in FAMILIES:
        draw = Chooser(f"{family.__name__} {seed}")
        made = 0
        while made < count:
            config: dict = {"model_type": family.__name__}
            sizes(draw, config)
            family(draw, config)
            ignored(draw, config)
            ownSeed = draw.randrange(2**31)
            try:
                found = answer(config, ownSeed)
            except Exception as error:  # What transformers cannot run, nobody compares.
                text = f"{family.__name__}: {type(error).__name__} {str(error)[:90]!r}"
                failed[text] = failed.get(text, 0) + 1
                continue
            made += 1
            cases.append({"config": json.dumps(config), "seed": ownSeed, **found})
    for text, times in failed.items():
        print(times, text, file=sys.stderr)
    writeJson(path, {"madeBy": madeBy("configs.py"), "positions": POSITIONS, "cases": cases}, None)
    print(f"configs: {len(cases)} cases, {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else 1,
        int(given[1]) if len(given) > 1 else 4,
        Path(given[2]) if len(given) > 2 else GOLDEN / "configs.json",
    )
