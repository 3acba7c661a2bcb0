import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunRecord } from '../runs/runRecord.js';
import { golden, readJson, readLines, scratch } from '../testing.js';
import { evaluateFolder } from './evaluate.js';
import { fineTuneFolder } from './fineTune.js';
import type { FineTuneResult } from './fineTune.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';

let backend: Backend;
beforeAll(async () => void (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const model = join(golden, 'tied');
const data = join(golden, 'train/rows.jsonl');
const evalData = join(golden, 'train/eval.jsonl');
const evaluationMetrics = ['chrf', 'rouge-1', 'label-accuracy'] as const;

const train = (part: Partial<FineTuneFolderOptions> & { readonly output: string }): Promise<FineTuneResult> =>
  fineTuneFolder({
    backend,
    model,
    data,
    r: 4,
    dropout: 0.1,
    batchSize: 4,
    steps: 8,
    learningRate: 3e-2,
    evalData,
    evaluateEvery: 2,
    saveEvery: 2,
    samples: 0,
    ...part,
  });

interface Line {
  readonly step: number;
  readonly eval_loss?: number;
  readonly eval_label_accuracy?: number;
  readonly eval_rouge_1?: number;
  readonly eval_chrf?: number;
}

const evaluations = (folder: string): Line[] =>
  readLines<Line>(join(folder, 'metrics.jsonl')).filter(({ step, eval_loss: loss }) => step > 0 && loss !== undefined);

test('metrics of each evaluation are those of eval, decide which is the best, and change nothing else', async () => {
  using place = scratch();
  const [plain, output] = [join(place.path, 'plain'), join(place.path, 'scored')];
  await train({ output: plain });
  const result = await train({ output, evaluationMetrics, evaluationPrompts: 5 });
  const weights = (folder: string): Buffer => readFileSync(join(folder, 'adapter_model.safetensors'));
  expect(weights(output)).toEqual(weights(plain));

  const lines = evaluations(output);
  expect(lines.map(({ step }) => step)).toEqual([2, 4, 6, 8]);
  expect(lines.map(({ eval_loss: loss }) => loss)).toEqual(evaluations(plain).map(({ eval_loss: loss }) => loss));
  for (const { step, ...line } of lines) {
    const { scores } = await evaluateFolder({
      backend,
      model,
      data: evalData,
      adapter: join(output, `checkpoint-${step}`),
      metrics: evaluationMetrics,
      scoreRows: 5,
    });
    expect(line.eval_rouge_1).toBe(scores['rouge-1']);
    expect(line.eval_chrf).toBe(scores['chrf']);
    expect(line.eval_label_accuracy).toBe(scores['label-accuracy']);
  }
  const scores = lines.map((line) => line.eval_chrf ?? NaN);
  const best = lines[scores.indexOf(Math.max(...scores))];
  const lowest = Math.min(...lines.map(({ eval_loss: loss = NaN }) => loss));
  // Another one than the loss would choose.
  expect(best?.eval_loss).toBeGreaterThan(lowest);
  expect(result).toMatchObject({ best_step: best?.step, eval_chrf: scores.at(-1) });
  expect(readJson<RunRecord>(join(output, 'run.json')).best).toMatchObject({
    step: best?.step,
    eval_loss: best?.eval_loss,
    eval_chrf: best?.eval_chrf,
    checkpoint: `checkpoint-${best?.step}`,
  });
});

test('a run that goes on compares with what it had, and ends as the undisturbed one', async () => {
  using place = scratch();
  const [whole, output] = [join(place.path, 'whole'), join(place.path, 'rest')];
  const part = { evaluationMetrics, evaluationPrompts: 5, earlyStopping: 2, loadBestModelAtEnd: true };
  const undisturbed = await train({ output: whole, ...part, steps: 12 });
  await train({ output, ...part, steps: 4 });
  const { resumed_from, ...rest } = await train({ output, ...part, steps: 12, resume: true });
  expect(resumed_from).toBe(4);
  const told = (result: FineTuneResult): object => ({ ...result, seconds: 0, resumed_from: null });
  expect(told({ ...rest, resumed_from: null, adapter: whole, best_checkpoint: undisturbed.best_checkpoint })).toEqual(
    told(undisturbed),
  );
  expect(undisturbed.stopped_by).toBe('early-stopping');
  expect(evaluations(output)).toEqual(evaluations(whole));
});

test('refused: metrics without rows to evaluate, of preferences, of rows without prompts', async () => {
  using place = scratch();
  const output = join(place.path, 'run');
  const none = { output, evaluationMetrics, evalData: undefined, evaluateEvery: undefined };
  await expect(train(none)).rejects.toThrow(
    "evaluationMetrics 'chrf,rouge-1,label-accuracy': expected rows to evaluate",
  );
  await expect(train({ output, evaluationMetrics: ['bleu'], evalData: '-' })).rejects.toThrow(/standard input|read/);
  await expect(train({ output, evaluationPrompts: 3 })).rejects.toThrow('evaluationMetrics');
});
