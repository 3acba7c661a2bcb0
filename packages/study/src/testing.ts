import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inProcess } from './runs/inProcess.js';
import type { StudyTraining } from './runs/studyRun.js';
import type { ComparedMethod, StudyTrainer, TrainingRules } from './runs/studyTrainer.js';
import type { StudyOptions } from './studyOptions.js';

/** Goldens made by transformers and PEFT: parity/README.md describes them. */
export const golden = fileURLToPath(new URL('../../../parity/golden/llama', import.meta.url));

/** A folder that is removed after the test. */
export function scratch(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'lowrank-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/**
 * A trainer that trains nothing: a run's loss is a function of its options, and what it throws is the run's failure.
 * One weights file is saved, of four bytes for each parameter.
 */
export function fakeTrainer(
  lossOf: (training: StudyTraining) => number,
  parametersOf: (training: StudyTraining) => number = () => 10,
): StudyTrainer {
  return {
    open: async () => undefined,
    openSession: async () => ({
      device: 'none',
      peakBytes: 1000,
      async train({ training, folder }, { onStep }) {
        const { steps = 1 } = training;
        const finalLoss = lossOf(training);
        for (let step = 1; step <= steps; step++)
          onStep?.({ step, steps, loss: finalLoss, tokens: 100, tokensPerSecond: 1000 });
        writeFileSync(join(folder, 'adapter_config.json'), '{}');
        writeFileSync(join(folder, 'adapter_model.safetensors'), '');
        const trainedParameters = parametersOf(training);
        return { steps, finalLoss, trainedParameters, fileBytes: 4 * trainedParameters, adapter: folder, model: null };
      },
      async evaluate({ training }) {
        const loss = lossOf(training);
        return {
          loss,
          scores: { loss },
          prompts: 1,
          tokens: 1,
          texts: [{ prompt: 'a', text: 'b', references: ['c'] }],
        };
      },
      check: () => Promise.resolve(),
      dispose: () => undefined,
    }),
  };
}

/** Rules without objections: each method takes every option. */
export function fakeRules(methods: readonly string[] = []): TrainingRules {
  const method = (name: string): ComparedMethod => ({
    learningRates: [1e-3],
    isLora: name === 'lora',
    trainingOf: (training) => ({ ...training, method: name }),
  });
  return {
    methods: Object.fromEntries(methods.map((name) => [name, method(name)])),
    checkTraining: () => undefined,
    checkComparison: () => undefined,
  };
}

/** A study of a golden model on golden rows. */
export function studyOf(output: string, trainer: StudyTrainer, methods: readonly string[] = []): StudyOptions {
  return {
    training: { model: join(golden, 'tied'), data: join(golden, 'train/rows.jsonl'), steps: 6, batchSize: 4 },
    testData: join(golden, 'train/eval.jsonl'),
    output,
    executor: inProcess(trainer),
    rules: fakeRules(methods),
  };
}
