import type { Method } from '@lowrank/methods';
import { contenderNamed, lora, methodNamed } from '@lowrank/methods';
import { isLowrankError } from '@lowrank/errors';
import type { PlanDevice } from './planDevice.js';
import type { PlannedRun } from './planRun.js';
import { planRun } from './planRun.js';

/** A run with other settings, planned. */
export interface Variant {
  /** What to change of the flags. */
  readonly flags: readonly string[];
  /** Bytes that it needs; null where no plan could be made for the device. */
  readonly peak_bytes: number | null;
  readonly fits: boolean;
}

/** One way to need less. */
interface Saving {
  /** Ever smaller runs; none where there is nothing to save. */
  steps(run: PlannedRun): PlannedRun[];
  flag(run: PlannedRun): string;
}

/** In the order in which one would give things up: first what costs time alone, then what costs quality. */
const savings: readonly Saving[] = [
  {
    steps: (run) => (run.checkpointing === true ? [] : [{ ...run, checkpointing: true }]),
    flag: () => '--checkpointing',
  },
  {
    steps: (run) =>
      run.method === 'full' && run.optimizer !== 'adamw8bit' ? [{ ...run, optimizer: 'adamw8bit' }] : [],
    flag: () => '--optimizer adamw8bit',
  },
  {
    steps: (run) =>
      isFourBit(run) ? [] : [{ ...run, method: nameOverCodes(run) ?? run.method, quantization: { type: 'nf4' } }],
    flag: (run) => (nameOverCodes(run) === undefined ? '--quantization nf4' : `--method ${run.method}`),
  },
  {
    steps: (run) =>
      isFourBit(run) && run.quantization?.doubleQuantization !== true
        ? [
            {
              ...run,
              quantization: { ...run.quantization, type: run.quantization?.type ?? 'nf4', doubleQuantization: true },
            },
          ]
        : [],
    flag: () => '--double-quantization',
  },
  {
    steps: (run) =>
      run.method === 'full' || run.quantizeEmbeddings === true ? [] : [{ ...run, quantizeEmbeddings: true }],
    flag: () => '--quantize-embeddings',
  },
  { steps: (run) => halvings(run, 'batchSize', 1), flag: ({ batchSize }) => `--batch-size ${batchSize}` },
  {
    steps: (run) => (run.task?.task.kind === 'image' ? [] : halvings(run, 'maxLength', 32)),
    flag: ({ maxLength }) => `--max-length ${maxLength}`,
  },
  {
    steps: (run) => (methodOf(run).name === lora.name ? halvings(run, 'r', 1) : []),
    flag: ({ r }) => `--r ${r}`,
  },
];

function methodOf({ method }: PlannedRun): Method {
  return methodNamed(contenderNamed(method).method);
}

/** What trains over codes in its place, where that has a name of its own: weights that are trained cannot be codes. */
function nameOverCodes(run: PlannedRun): PlannedRun['method'] | undefined {
  const method = methodOf(run);
  return (method.overCodes ? method : lora).nameOverCodes as PlannedRun['method'] | undefined;
}

function isFourBit({ quantization }: PlannedRun): boolean {
  return quantization !== undefined && quantization.type !== 'int8';
}

function halvings(run: PlannedRun, key: 'batchSize' | 'maxLength' | 'r', least: number): PlannedRun[] {
  const runs: PlannedRun[] = [];
  for (let value = run[key]; value > least;) {
    value = Math.max(least, Math.floor(value / 2));
    runs.push({ ...run, [key]: value });
  }
  return runs;
}

/**
 * What would make a run fit into `room` bytes, from plans and not from rules of thumb: each saving by itself, as far as
 * it has to go, and, where none is enough alone, the savings one after another until it fits.
 */
export async function variantsOf(run: PlannedRun, device: PlanDevice, room: number): Promise<Variant[]> {
  const variants: Variant[] = [];
  for (const saving of savings) {
    const variant = await follow(run, [saving], { device, room });
    if (variant !== undefined) variants.push(variant);
  }
  if (variants.some(({ fits }) => fits)) return variants;
  const together = await follow(run, savings, { device, room });
  return together === undefined ? variants : [...variants, together];
}

interface Wanted {
  readonly device: PlanDevice;
  readonly room: number;
}

async function follow(
  run: PlannedRun,
  path: readonly Saving[],
  { device, room }: Wanted,
): Promise<Variant | undefined> {
  let current = run;
  let latest: Variant | undefined;
  const flags: string[] = [];
  for (const saving of path) {
    const steps = saving.steps(current);
    const last = steps.at(-1);
    if (last === undefined) continue;
    const attempt = async (next: PlannedRun): Promise<Variant> => {
      const peak = await peakOf(next, device);
      return {
        flags: [...flags, saving.flag(next)],
        peak_bytes: peak ?? null,
        fits: peak !== undefined && peak <= room,
      };
    };
    // Where the least is too much, all others are; else the largest that fits is wanted.
    latest = await attempt(last);
    for (const next of latest.fits ? steps.slice(0, -1) : []) {
      const larger = await attempt(next);
      if (larger.fits) return larger;
    }
    if (latest.fits) return latest;
    current = last;
    flags.push(saving.flag(last));
  }
  return latest;
}

/** Bytes that a run needs; undefined where no plan could be made for the device. */
export async function peakOf(run: PlannedRun, device: PlanDevice): Promise<number | undefined> {
  try {
    return (await planRun(run, device)).bytes.peak;
  } catch (error) {
    // A limit of the device that this variant meets and a smaller one may not.
    if (isLowrankError(error)) return undefined;
    throw error;
  }
}
