import { LowrankError } from '@lowrank/errors';
import type { MethodFiles } from '@lowrank/methods';
import type { ModelFiles } from '@lowrank/models';
import { readJson, requireFile } from '@lowrank/models';
import type { SafetensorsFile, TensorEntry } from '@lowrank/safetensors';
import { openSafetensors, writeSafetensors } from '@lowrank/safetensors';
import { hostArray } from '@lowrank/tensor/op';
import type { StateTensor } from '@lowrank/trainer';
import type { RunState } from '../front/runState.js';

/** The file that makes a checkpoint whole: it appears last. */
export const stateFile = 'trainer_state.json';
const tensorFile = 'optimizer.safetensors';

/** Of the layout of these files. */
const version = 1;

const dtypes = { f32: 'F32', u8: 'U8' } as const;

/** What trainer_state.json says: transformers' names where it has them, and what only Lowrank needs. */
interface StoredState {
  readonly global_step: number;
  readonly best_metric: number | null;
  readonly best_global_step: number | null;
  readonly lowrank: {
    readonly version: number;
    /** Of the best evaluation, where the metric is another measure. */
    readonly bestLoss?: number | undefined;
  } & Omit<RunState, 'tensors' | 'step' | 'best'>;
}

/**
 * The files that a checkpoint has beside those of the adapter or model: `optimizer.safetensors` with every trained
 * parameter in f32 and what the optimizer remembers of it, and `trainer_state.json`.
 */
export function stateFiles(state: RunState): MethodFiles {
  const { tensors, step, best, ...rest } = state;
  const stored: StoredState = {
    global_step: step,
    best_metric: best?.measure ?? best?.loss ?? null,
    best_global_step: best?.step ?? null,
    lowrank: { version, ...(best?.measure !== undefined && { bestLoss: best.loss }), ...rest },
  };
  return {
    [tensorFile]: writeSafetensors([...tensors].map(entryOf), { format: 'pt' }),
    [stateFile]: `${JSON.stringify(stored, undefined, 2)}\n`,
  };
}

/**
 * Reads the state that a checkpoint holds; its tensors are read when they are asked for.
 *
 * @throws LowrankError `run.checkpoint` for one of another version or without a step
 */
export async function readState(files: ModelFiles): Promise<RunState> {
  const json = (await readJson(files, stateFile)) as Partial<StoredState> | null;
  const { global_step: step, best_metric: metric, best_global_step: bestStep, lowrank } = json ?? {};
  if (lowrank?.version !== version || typeof step !== 'number')
    throw new LowrankError({
      code: 'run.checkpoint',
      what: `${stateFile} of ${files.name}`,
      expected: `the state of a run, version ${version}`,
      got: lowrank === undefined ? 'no state of Lowrank' : `version ${lowrank.version}`,
      remedy: 'Remove the checkpoint to go on from the one before it, or begin anew.',
    });
  const { version: _, bestLoss, ...rest } = lowrank;
  const file = await openSafetensors(await requireFile(files, tensorFile));
  return {
    ...rest,
    step,
    loss: rest.loss ?? undefined,
    gradNorm: rest.gradNorm ?? undefined,
    best: typeof metric === 'number' && typeof bestStep === 'number' ? bestOf(bestStep, metric, bestLoss) : undefined,
    tensors: new Map([...file.tensors.keys()].map((name) => [name, tensorOf(file, name)])),
  };
}

function bestOf(step: number, metric: number, loss: number | undefined): RunState['best'] {
  return loss === undefined ? { step, loss: metric } : { step, loss, measure: metric };
}

function entryOf([name, tensor]: readonly [string, StateTensor]): TensorEntry {
  const { dtype, shape } = tensor;
  if (!(dtype in dtypes)) throw new TypeError(`a state with a tensor in ${dtype}`);
  return {
    name,
    dtype: dtypes[dtype as keyof typeof dtypes],
    shape,
    data: async () => {
      const values = await tensor.read();
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    },
  };
}

function tensorOf(file: SafetensorsFile, name: string): StateTensor {
  const info = file.tensors.get(name);
  const dtype = info?.dtype === 'U8' ? 'u8' : 'f32';
  return {
    dtype,
    shape: info?.shape ?? [],
    read: async () => hostArray(dtype, (await file.read(name)).slice().buffer),
  };
}
