import { packBatch } from '@lowrank/data';
import type { EncodedRow, TokenBatch } from '@lowrank/data';
import type { LoraAdapter, LoraConfig } from '@lowrank/lora';
import { loraConfig } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import type { InputBatch, PlacedAdapter } from '@lowrank/patch';
import { addAdapter } from '@lowrank/patch';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { golden, readFolder, readJson } from './variantCases';

interface Answers {
  readonly base: string;
  readonly passes: number;
  readonly targets: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly eva: Readonly<Record<string, unknown>>;
  readonly losses: readonly number[];
}

export interface EvaCase {
  readonly answers: Answers;
  readonly file: SafetensorsFile;
  readonly theirs: LoraAdapter;
  readonly model: CausalModel;
  /** As the user gave it, before any rank was moved. */
  readonly config: LoraConfig;
}

const camel = (settings: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [
      key.replace('lora_', '').replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );

export async function openEva(name: string): Promise<EvaCase> {
  const answers = await readJson<Answers>(`${golden}eva/${name}.json`);
  const theirs = await readFolder(`${golden}eva/${name}`);
  const config = loraConfig({
    ...camel(answers.config),
    targetModules: answers.targets,
    init: 'eva',
    eva: camel(answers.eva) as unknown as LoraConfig['eva'],
    taskType: 'CAUSAL_LM',
  });
  return {
    answers,
    theirs,
    config,
    file: await openSafetensors(fileSource(`${golden}eva/${name}.safetensors`)),
    model: await loadCausalModel(await openFolder(`${golden}${answers.base}`)),
  };
}

/** PEFT goes by the labels as they stand beside the ids: the token itself is to be learned. */
export function inputBatch(
  rows: readonly EncodedRow[],
  useLabelMask: boolean,
  layOut: (rows: readonly EncodedRow[]) => TokenBatch = packBatch,
): InputBatch {
  const { ids, positions, segments } = layOut(rows).inputs;
  return {
    inputs: { ids, positions, segments },
    counted: layOut(
      rows.map((row) => ({ ...row, ids: row.labels.map((label) => (useLabelMask && label === -100 ? 0 : 1)) })),
    ).inputs.ids.data,
  };
}

export async function beginEva(
  { model, config }: EvaCase,
  { backend, batches, memory }: { backend: Backend; batches: readonly InputBatch[]; memory?: number | undefined },
): Promise<PlacedAdapter> {
  return addAdapter(model, config, {
    data: {
      backend,
      batches: () => batches,
      memory,
      forward: ({ ids, positions, segments }) =>
        ids !== undefined && positions !== undefined && model.hidden(ids, { positions, segments }),
    },
  });
}

/** AᵀA [in, in]: whatever the signs. */
export function projector(a: Float32Array, width: number): Float64Array {
  const rank = a.length / width;
  return Float64Array.from({ length: width * width }, (_, at) => {
    let total = 0;
    for (let k = 0; k < rank; k++)
      total += (a[k * width + Math.floor(at / width)] ?? NaN) * (a[k * width + (at % width)] ?? NaN);
    return total;
  });
}
