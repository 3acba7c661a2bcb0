import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { LoraAdapter } from '@lowrank/lora';
import { readAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { compile, embedding, reshape, tensor } from '@lowrank/tensor';
import { expect } from 'vitest';

/** Several adapters on one model, as PEFT has them: parity/liveAdapters.py. */
const golden = fileURLToPath(new URL('../../parity/golden/', import.meta.url));

interface Told {
  readonly base: string;
  readonly adapters: Readonly<Record<string, string>>;
  readonly mixed: readonly (readonly string[])[];
  readonly active: readonly Readonly<Record<string, number>>[];
}

export interface LiveCase extends Told {
  readonly ids: Int32Array;
  /** Positions that answers are told of: every so many. */
  readonly every: number;
  openModel(): Promise<CausalModel>;
  openAdapter(name: string): Promise<LoraAdapter>;
  /** Logits [rows, positions, vocabulary] that PEFT gave. */
  answer(name: string): Promise<Float32Array>;
}

export const rows = 3;

export async function openLiveCase(name: 'plain' | 'biased'): Promise<LiveCase> {
  const { every, cases } = JSON.parse(await readFile(`${golden}liveAdapters/cases.json`, 'utf8')) as {
    every: number;
    cases: Record<string, Told>;
  };
  const told = cases[name];
  if (told === undefined) throw new TypeError(`no golden ${name}`);
  const file = await openSafetensors(fileSource(`${golden}liveAdapters/answers.safetensors`));
  const bytes = async (key: string): Promise<ArrayBuffer> => new Uint8Array(await file.read(key)).buffer;
  return {
    ...told,
    ids: new Int32Array(await bytes('ids')),
    every,
    openModel: async () => loadCausalModel(await openFolder(`${golden}${told.base}`)),
    openAdapter: (adapter) => readFolder(`${golden}${told.adapters[adapter] ?? `liveAdapters/${adapter}`}`),
    answer: async (key) => new Float32Array(await bytes(`${name}.${key}`)),
  };
}

async function readFolder(folder: string): Promise<LoraAdapter> {
  return readAdapter({
    config: JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8')) as unknown,
    weights: fileSource(`${folder}/adapter_model.safetensors`),
    name: folder,
  });
}

export interface CompiledLogits {
  run(): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** A model's logits of all rows, compiled once: as it is now. */
export function compileLogits(backend: Backend, model: CausalModel, { ids, every }: LiveCase): CompiledLogits {
  const length = ids.length / rows;
  const positions = tensor(
    ids.map((_, at) => at % length),
    [rows, length],
  );
  const wanted = tensor(Int32Array.from({ length: (rows * length) / every }, (_, at) => at * every));
  const given = tensor(ids.slice(), [rows, length]);
  const step = compile(backend, () => ({
    logits: model.logits(
      embedding(reshape(model.hidden(given, { positions }), [ids.length, model.shape.hiddenSize]), wanted),
    ),
  }));
  return {
    run: async () => Float32Array.from(await (await step.run()).logits),
    async dispose() {
      await step.dispose();
      for (const own of [positions, wanted, given]) own.dispose();
    },
  };
}

export function largest(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] ?? NaN))), 0);
}

/** PEFT's own bound for these: 1e-4, of logits up to about 10. */
export function expectSame(got: Float32Array, want: Float32Array, bound = 1e-4): void {
  expect(largest(got, want)).toBeLessThan(bound);
}

/** Row `at` of each of these answers. */
export function rowsOf(answers: readonly Float32Array[]): Float32Array {
  return Float32Array.from(
    answers.flatMap((answer, at) => [
      ...answer.subarray((at * answer.length) / rows, ((at + 1) * answer.length) / rows),
    ]),
  );
}
