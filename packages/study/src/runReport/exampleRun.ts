import type { ReportedRun, RunSample } from './reportedRun.js';
import type { MetricsLine } from './runCurves.js';

/** A run for tests: 600 steps of a preference loss, an evaluation every 60, stopped and resumed twice. */
export const exampleRun: ReportedRun = {
  name: 'run </title><script>alert(1)</script>',
  status: 'running',
  started: '2026-11-30T06:12:09.120Z',
  updated: '2026-11-30T08:40:51.004Z',
  method: 'lora',
  places: {
    model: 'HuggingFaceTB/SmolLM2-135M-Instruct',
    data: '/home/ada/data/e2e-nlg/a-folder-with-a-long-name-that-needs-two-lines-on-a-phone/train.jsonl',
    evalData: 'rows"><img src=x onerror=alert(2)>.jsonl',
  },
  device: 'webgpu, NVIDIA GeForce RTX 4070 Laptop GPU',
  inputs: [
    { role: 'data', path: 'train.jsonl', files: [{ name: '', bytes: 12_345_678, sha256: 'ab12'.repeat(16) }] },
    { role: 'model', path: 'smollm2', files: [{ name: 'config.json', bytes: 880, sha256: 'cd34'.repeat(16) }] },
  ],
  settings: {
    learningRate: 2e-4,
    r: 16,
    targetModules: ['q_proj', 'v_proj'],
    batchSize: 8,
    weightDecay: 0,
    schedule: 'cosine',
    seed: 0,
    earlyStopping: undefined,
  },
  given: { learningRate: 2e-4, r: 16, targetModules: ['q_proj', 'v_proj'], batchSize: 8 },
  steps: 1000,
  seconds: 4000,
  best: { step: 480, eval_loss: 0.9124, checkpoint: 'checkpoint-480' },
  stopped_by: null,
  eval_loss: null,
  error: null,
  resumes: [
    { step: 120, at: '2026-11-30T06:50:00.000Z' },
    { step: 300, at: '2026-11-30T07:30:00.000Z' },
  ],
  trained_parameters: 921_600,
  file_bytes: 3_702_112,
};

export const exampleSamples: readonly RunSample[] = [
  {
    prompt:
      'name[The Vaults], eatType[pub], priceRange[more than £30], customer rating[5 out of 5], near[Café Adriatic]',
    before: 'The Vaults is a restaurant.\nThe Vaults is a restaurant.\nThe Vaults is a restaurant.',
    after: 'The Vaults pub near Café Adriatic has a 5 star rating. Prices start at £30.',
    wanted: 'The Vaults pub near Café Adriatic has a 5 star rating.  Prices start at £30.',
  },
  {
    prompt: 'A row that does harm: </p></article><script>document.title = "taken"</script>\u0000\u001b[31m\u202e',
    before: null,
    after: `${'averylongwordwithoutanyspace'.repeat(12)} <img src=x onerror=alert(3)> &amp; end`,
    wanted: '',
  },
];

/** Lines as metrics.jsonl has them. */
export function* exampleMetrics(steps: number): Generator<MetricsLine> {
  for (let step = 1; step <= steps; step++) {
    // A noise that looks like one and is the same each time.
    const noise = Math.sin(step * 12.9898) * Math.cos(step * 4.1414);
    const falling = Math.exp(-step / 90);
    yield {
      step,
      loss: step === 200 ? null : 0.9 + 1.4 * falling + 0.15 * noise,
      margin: (1 - falling) * 1.6 + 0.2 * noise,
      accuracy: Math.min(1, 0.5 + 0.4 * (1 - falling) + 0.1 * noise),
      grad_norm: step === 333 ? 180 : 1.1 + 0.4 * noise + falling,
      learning_rate: step < 50 ? (2e-4 * step) / 50 : 1e-4 * (1 + Math.cos((Math.PI * step) / 1000)),
      tokens: 1800 + Math.round(100 * noise),
      tokens_per_second: 270 + 30 * noise,
      memory_bytes: 1.9e9,
    };
    if (step % 60 === 0)
      yield { step, eval_loss: 0.91 + 1.2 * Math.exp(-step / 80) + 0.00002 * Math.max(0, step - 480) ** 1.5 };
  }
}
