import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { EncodedRow } from '@lowrank/data';
import { packBatch, padBatch, withVirtualTokens } from '@lowrank/data';
import type { Method, MethodAdapter } from '@lowrank/methods';
import { readMethod } from '@lowrank/methods';
import type { CausalModel, LossBatch } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { SettingTable } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import { reshape, slice, tensor } from '@lowrank/tensor';
import { expect } from 'vitest';

/** The methods that are no LoRA, as PEFT and PyTorch have them: parity/methods.py. */
export const golden = fileURLToPath(new URL('../../parity/golden/', import.meta.url));

/** The cases that parity/methods.py has made. */
export const caseNames = (): string[] =>
  readdirSync(`${golden}methods`, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();

/** The last case of each method. */
export async function oneOfEachMethod(): Promise<string[]> {
  const last = new Map<string, string>();
  for (const name of caseNames()) last.set((await openAdapter(name)).method.name, name);
  return [...last.values()];
}

export interface MethodRun {
  readonly steps: number;
  readonly learningRate: number;
  readonly rows: readonly EncodedRow[];
}

export async function methodRun(): Promise<MethodRun> {
  const { rows, ...run } = JSON.parse(await readFile(`${golden}methods/rows.json`, 'utf8')) as Omit<
    MethodRun,
    'rows'
  > & { rows: { ids: number[]; labels: number[] }[] };
  return {
    ...run,
    rows: rows.map(({ ids, labels }, at) => ({
      line: at + 1,
      ids: Int32Array.from(ids),
      labels: Int32Array.from(labels),
      labelTokens: labels.slice(1).filter((label) => label >= 0).length,
      fullLength: ids.length,
      promptIsPrefix: true,
    })),
  };
}

export interface MethodCase {
  readonly answers: { readonly base: string; readonly losses: readonly number[] };
  readonly file: SafetensorsFile;
  readonly model: CausalModel;
  readonly method: Method<readonly SettingTable[], MethodAdapter>;
  readonly adapter: MethodAdapter;
}

async function openAdapter(name: string): Promise<Pick<MethodCase, 'method' | 'adapter'>> {
  const folder = `${golden}methods/${name}`;
  const config: unknown = JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8'));
  const saved = await readMethod({ config, weights: fileSource(`${folder}/adapter_model.safetensors`), name });
  return { method: saved.method as MethodCase['method'], adapter: saved.stored as MethodAdapter };
}

export async function openCase(name: string): Promise<MethodCase> {
  const folder = `${golden}methods/${name}`;
  const answers = JSON.parse(await readFile(`${folder}.json`, 'utf8')) as MethodCase['answers'];
  return {
    answers,
    file: await openSafetensors(fileSource(`${folder}.safetensors`)),
    model: await loadCausalModel(await openFolder(`${golden}${answers.base}`)),
    ...(await openAdapter(name)),
  };
}

export async function floats(file: SafetensorsFile, key: string): Promise<Float32Array> {
  return new Float32Array(new Uint8Array(await file.read(key)).buffer);
}

export const rowsFor = (model: CausalModel, rows: readonly EncodedRow[]): readonly EncodedRow[] =>
  withVirtualTokens(rows, { vocabularySize: model.shape.vocabularySize, virtualTokens: model.virtualTokens });

export const layouts = { packed: packBatch, padded: padBatch } as const;

/** A batch of the rows as the model takes them. */
export function lossBatch({ inputs: { ids, positions, labels, segments } }: ReturnType<typeof packBatch>): LossBatch {
  return {
    ids: tensor(ids.data, ids.shape),
    positions: tensor(positions.data, positions.shape),
    labels: tensor(labels.data, labels.shape),
    segments: tensor(segments.data, segments.shape),
  };
}

/** Logits of the first row's own tokens, all in one document. */
export function tracedLogits(model: CausalModel, row: EncodedRow): Tensor {
  const [{ ids } = row] = rowsFor(model, [row]);
  const positions = ids.map((_, at) => at);
  const hidden = model.hidden(tensor(ids, [1, ids.length]), { positions: tensor(positions, [1, ids.length]) });
  return model.logits(slice(reshape(hidden, [ids.length, model.shape.hiddenSize]), 0, model.virtualTokens, ids.length));
}

export function expectClose(got: ArrayLike<number> | undefined, want: ArrayLike<number>, share: number): void {
  expect(got?.length).toBe(want.length);
  const scale = Math.max(...Array.from(want, Math.abs));
  const worst = Math.max(...Array.from(want, (value, at) => Math.abs((got?.[at] ?? NaN) - value)));
  expect(worst).toBeLessThanOrEqual(share * scale);
}
