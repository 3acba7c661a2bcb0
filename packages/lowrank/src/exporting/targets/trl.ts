import type { ExportedRun, ExportTarget, Recipe } from '../exportedRun.js';
import { huggingFaceOptimizer, huggingFaceSchedule, tokenLines, unsupported } from '../recipes.js';

/** TRL's SFTTrainer: a Python script over the token ids and labels of Lowrank's run, in its order. */
export const trl: ExportTarget = {
  title: 'TRL',
  write(run) {
    return Promise.resolve({
      files: { 'train.py': script(run), 'train.jsonl': tokenLines(run.rows) },
      command: 'pip install torch transformers peft trl datasets\npython train.py',
      back: 'The folder `tuned` is an adapter as Lowrank loads it: `lowrank eval --adapter tuned ...`.',
      differences: [
        ...unsupported('TRL', run, { dropout: 'PyTorch draws other numbers' }),
        'The script computes in 32 bits, as Lowrank does; set DTYPE to torch.bfloat16 on a GPU.',
      ],
    });
  },
};

function script({ model, adapter, recipe }: ExportedRun): string {
  const { quantization } = recipe;
  const classes = [
    'AutoModelForCausalLM',
    'AutoTokenizer',
    ...(quantization === undefined ? [] : ['BitsAndBytesConfig']),
  ];
  const loading = [
    `dtype=DTYPE`,
    ...(quantization === undefined
      ? []
      : ['quantization_config=QUANTIZATION', 'device_map={"": 0} if torch.cuda.is_available() else "cpu"']),
  ];
  return [
    '"""A training run of Lowrank for TRL: the same model, tokens, labels and numbers, in the same order.',
    '',
    'Scale it as any TRL script: accelerate launch, FSDP, DeepSpeed, Ray Train."""',
    '',
    'import json',
    'from pathlib import Path',
    '',
    'import torch',
    'from datasets import Dataset',
    ...(adapter === undefined ? [] : ['from peft import PeftModel']),
    `from transformers import ${classes.join(', ')}`,
    'from trl import SFTConfig, SFTTrainer',
    '',
    `MODEL = ${python(model)}`,
    'DTYPE = torch.float32',
    'HERE = Path(__file__).resolve().parent',
    ...(quantization === undefined ? [] : ['', ...quantizationLines(recipe)]),
    '',
    'rows = [json.loads(line) for line in (HERE / "train.jsonl").read_text().splitlines()]',
    `model = AutoModelForCausalLM.from_pretrained(MODEL, ${loading.join(', ')})`,
    ...(adapter === undefined ? [] : ['model = PeftModel.from_pretrained(model, HERE / "adapter", is_trainable=True)']),
    'config = SFTConfig(',
    '    output_dir=str(HERE / "runs"),',
    ...Object.entries(sftConfig(recipe)).map(([name, value]) => `    ${name}=${python(value)},`),
    ')',
    'trainer = SFTTrainer(',
    '    model=model,',
    '    args=config,',
    '    train_dataset=Dataset.from_list(rows),',
    '    processing_class=AutoTokenizer.from_pretrained(MODEL),',
    ')',
    'trainer.train()',
    'trainer.save_model(str(HERE / "tuned"))',
    '(HERE / "losses.json").write_text(json.dumps(trainer.state.log_history))',
    '',
  ].join('\n');
}

function quantizationLines({ quantization }: Recipe): string[] {
  if (quantization?.type === 'int8') return ['QUANTIZATION = BitsAndBytesConfig(load_in_8bit=True)'];
  return [
    'QUANTIZATION = BitsAndBytesConfig(',
    '    load_in_4bit=True,',
    `    bnb_4bit_quant_type=${python(quantization?.type)},`,
    `    bnb_4bit_use_double_quant=${python(quantization?.doubleQuantization === true)},`,
    '    bnb_4bit_compute_dtype=DTYPE,',
    ')',
  ];
}

/** The numbers by TRL's names. What TRL decides otherwise by default is said too. */
function sftConfig(recipe: Recipe): Readonly<Record<string, unknown>> {
  const { beta1, beta2, epsilon } = recipe;
  return {
    max_steps: recipe.steps,
    per_device_train_batch_size: recipe.batchSize,
    gradient_accumulation_steps: recipe.gradientAccumulation,
    learning_rate: recipe.learningRate,
    ...huggingFaceSchedule(recipe),
    warmup_steps: recipe.warmup,
    optim: huggingFaceOptimizer(recipe),
    adam_beta1: beta1,
    adam_beta2: beta2,
    adam_epsilon: epsilon,
    weight_decay: recipe.weightDecay,
    max_grad_norm: recipe.clip,
    gradient_checkpointing: recipe.checkpointing,
    max_length: recipe.maxLength,
    seed: recipe.seed,
    train_sampling_strategy: 'sequential',
    bf16: false,
    logging_steps: 1,
    save_strategy: 'no',
    report_to: 'none',
  };
}

/** A value as Python writes it. */
function python(value: unknown): string {
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([name, inner]) => `${JSON.stringify(name)}: ${python(inner)}`)
      .join(', ')}}`;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}
