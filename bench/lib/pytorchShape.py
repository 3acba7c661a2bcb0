"""pytorchShape.py CONFIG BATCH LENGTH: a LoRA training step of a model of random weights, eager, in bf16.

Prints {"ms", "device", "torch"}: the shortest of five steps of AdamW after two, on CUDA, MPS or the CPU.
"""

import json
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

path, batch, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
device = (
    "cuda"
    if torch.cuda.is_available()
    else "mps"
    if torch.backends.mps.is_available()
    else "cpu"
)


def wait() -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


with open(path) as file:
    settings = json.load(file)
config = AutoConfig.for_model(settings.pop("model_type"), **settings)
model = AutoModelForCausalLM.from_config(config).to(device, torch.bfloat16)
model = get_peft_model(
    model,
    LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
)
model.train()
trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4)
ids = torch.randint(0, config.vocab_size, (batch, length), device=device)
times = []
for step in range(7):
    wait()
    start = time.perf_counter()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    wait()
    if step >= 2:
        times.append(1000 * (time.perf_counter() - start))
print(
    json.dumps(
        {
            "ms": min(times),
            "device": device,
            "torch": torch.__version__,
        }
    )
)
