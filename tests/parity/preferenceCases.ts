import type { EncodedRow, ExampleGroup, PreferenceExample } from '@lowrank/data';
import { documentBatches, ignored, judgedGroups, preferenceBatches } from '@lowrank/data';
import { readAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder, readJson, requireFile } from '@lowrank/models';
import type { TrainedParameter } from '@lowrank/nn';
import { loadAdapter } from '@lowrank/patch';
import type { Backend } from '@lowrank/tensor';
import type { Batch, GradientsRequest, LossFunction, ObjectiveName, ObjectiveOptions } from '@lowrank/trainer';
import { createTrainStep, objectiveNamed, parameterGradients, scoreDocuments } from '@lowrank/trainer';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { llamaFolder } from './trainCases.js';

const folder = fileURLToPath(new URL('../../parity/golden/preferences/', import.meta.url));

export const preferenceCases = readdirSync(folder)
  .filter((name) => name.endsWith('.json') && name !== 'rows.json')
  .map((name) => name.replace('.json', ''));

interface TokenPair {
  readonly prompt: readonly number[];
  readonly chosen?: readonly number[];
  readonly rejected?: readonly number[];
  readonly completion?: readonly number[];
  readonly label?: boolean;
}

interface PreferenceGolden {
  readonly start: 'fresh' | 'learned' | null;
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly learningRate: number;
  readonly settings: ObjectiveOptions & { readonly loss: ObjectiveName };
  readonly rows: readonly TokenPair[];
  readonly losses: readonly number[];
  readonly margins: readonly number[];
  readonly accuracies: readonly number[];
  readonly gradNorms: readonly number[];
  readonly matrices: readonly Readonly<Record<string, number>>[];
}

function rowOf(line: number, prompt: readonly number[], completion: readonly number[]): EncodedRow {
  const ids = Int32Array.from([...prompt, ...completion]);
  return {
    line,
    ids,
    labels: ids.slice().fill(ignored, 0, prompt.length),
    labelTokens: completion.length,
    fullLength: ids.length,
    promptIsPrefix: true,
  };
}

function groupsOf({ rows, settings, batchSize }: PreferenceGolden): ExampleGroup[] {
  if (settings.loss === 'kto')
    return judgedGroups(
      rows.map(({ prompt, completion = [], label = false }, at) => ({
        line: at + 1,
        prompt: Int32Array.from(prompt),
        completion: Int32Array.from(completion),
        isGood: label,
      })),
      { size: batchSize, shuffle: false },
    );
  return rows.map(({ prompt, chosen = [], rejected = [] }, at) => [
    { line: at + 1, documents: [rowOf(at + 1, prompt, chosen), rowOf(at + 1, prompt, rejected)] },
  ]);
}

async function openTrainee(
  start: PreferenceGolden['start'],
): Promise<{ model: CausalModel; parameters: readonly TrainedParameter[] }> {
  const model = await loadCausalModel(await openFolder(`${llamaFolder}untied`));
  if (start === null)
    return { model, parameters: [...model.namedParameters()].map(([name, parameter]) => ({ name, parameter })) };
  const files = await openFolder(`${folder}${start}`);
  const adapter = await readAdapter({
    config: await readJson(files, 'adapter_config.json'),
    weights: await requireFile(files, 'adapter_model.safetensors'),
    name: files.name,
  });
  return { model, parameters: (await loadAdapter(model, adapter)).parameters };
}

/** The groups with what the model says of their documents as it is. */
async function withReference(
  groups: readonly ExampleGroup[],
  { model, backend }: { readonly model: CausalModel; readonly backend: Backend },
): Promise<ExampleGroup[]> {
  const documents = groups.flat().flatMap((example) => example.documents);
  const batches = documentBatches(documents, { maxPackedTokens: 128 });
  const scores = await scoreDocuments({ backend, model, batches });
  const found = new Map<EncodedRow, number>();
  for (const [at, { documents: inSlots }] of batches.entries())
    for (const [slot, row] of inSlots.entries()) {
      const document = documents[row];
      if (document !== undefined) found.set(document, scores[at]?.[slot] ?? NaN);
    }
  const scored = (example: PreferenceExample): PreferenceExample => {
    const [first, second] = example.documents;
    return { ...example, reference: [found.get(first) ?? NaN, found.get(second) ?? NaN] };
  };
  return groups.map(([first, ...others]) => [scored(first), ...others.map(scored)]);
}

export interface PreferenceCaseOptions {
  readonly backend: Backend;
  readonly packing?: boolean;
  readonly maxPackedTokens?: number;
}

/** Trains a golden's steps, and compares each loss, margin, accuracy and gradient with TRL's. */
export async function expectPreferenceGolden(
  name: string,
  { backend, packing, maxPackedTokens }: PreferenceCaseOptions,
): Promise<void> {
  const golden = JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8')) as PreferenceGolden;
  const { batchSize, gradientAccumulation, settings, learningRate } = golden;
  const objective = objectiveNamed(settings.loss);
  const { model, parameters } = await openTrainee(golden.start);
  const given = groupsOf(golden);
  const groups = objective.hasReference ? await withReference(given, { model, backend }) : given;
  const loss: LossFunction<string> = (inputs) => objective.loss(model, inputs, settings);
  const batches = preferenceBatches(groups, {
    kind: settings.loss === 'kto' ? 'kto' : 'preference',
    batchSize,
    gradientAccumulation,
    shuffle: false,
    packing,
    maxPackedTokens,
    nll: objective.nll?.(settings),
  });
  const step = await createTrainStep({ backend, loss, parameters, clip: 1 });
  for (const [at, want] of golden.losses.entries()) {
    const microBatches: readonly Batch<string>[] = batches.next().value;
    // Those of the first and the last step.
    const matrices = golden.matrices[at === 0 ? 0 : at === golden.losses.length - 1 ? 1 : 2];
    if (matrices !== undefined) await expectGradients({ backend, loss, parameters, microBatches }, matrices);
    const numbers = await step.run(microBatches, learningRate);
    expect(Math.abs((await numbers.loss) - want)).toBeLessThan(1e-5 * Math.max(1, Math.abs(want)));
    const norm = golden.gradNorms[at] ?? NaN;
    expect(Math.abs((await numbers.gradNorm) - norm)).toBeLessThanOrEqual(1e-3 * norm);
    const { margin = NaN, accuracy = NaN } = await numbers.measures;
    // TRL's mean of the margins of KTO's micro-batches is not the margin of the step, whose classes they share
    // unevenly.
    if (settings.loss !== 'kto' || gradientAccumulation === 1)
      expect(Math.abs(margin - (golden.margins[at] ?? NaN))).toBeLessThan(1e-4 * Math.max(1, Math.abs(margin)));
    // At its start the model is its reference, and rounding decides which of two equal rewards is the larger.
    if (golden.accuracies.length > 0 && (at > 0 || !objective.hasReference))
      expect(accuracy).toBeCloseTo(golden.accuracies[at] ?? NaN, 5);
  }
  await step.dispose({ weights: true });
  model.dispose();
}

interface StepGradients extends Omit<GradientsRequest<string>, 'batch'> {
  readonly microBatches: readonly Batch<string>[];
}

/** The norm of each matrix' gradient over a step. */
async function expectGradients(
  { microBatches, ...request }: StepGradients,
  norms: Readonly<Record<string, number>>,
): Promise<void> {
  const totals = new Map<string, Float32Array>();
  const weight = microBatches.reduce((total, batch) => total + (batch.weight ?? 1), 0);
  for (const batch of microBatches) {
    const share = (batch.weight ?? 1) / weight;
    for (const [name, gradient] of await parameterGradients({ ...request, batch }))
      totals.set(
        name,
        gradient.map((value, at) => (totals.get(name)?.[at] ?? 0) + share * value),
      );
  }
  expect(totals.size).toBe(Object.keys(norms).length);
  const largest = Math.max(...Object.values(norms));
  for (const [name, gradient] of totals) {
    const want = norms[name.replace(/lora_[AB]$/, '$&.weight')] ?? NaN;
    expect(Math.abs(Math.hypot(...gradient) - want)).toBeLessThanOrEqual(1e-3 * want + 1e-6 * largest);
  }
}
