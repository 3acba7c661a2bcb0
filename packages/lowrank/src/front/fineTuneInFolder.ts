import { LowrankError } from '@lowrank/errors';
import { placeOf } from '@lowrank/files';
import { beginRun } from '../runs/beginRun.js';
import type { PreparedRun } from '../runs/beginRun.js';
import { folderHooks } from '../runs/folderHooks.js';
import type { RunInput } from '../runs/runInputs.js';
import { lookAtFiles, lookAtRows } from '../runs/runInputs.js';
import type { SavePlace } from '../saveFolder.js';
import type { FineTuneOptions, TrainingWay } from './fineTuneOptions.js';
import type { Model } from './model.js';
import { findFiles } from './modelSource.js';
import { originFilesToSave } from './originFiles.js';
import type { Run } from './run.js';

type InFolder = FineTuneOptions & { readonly output: SavePlace };

interface Ways {
  readonly check: (model: Model, given: FineTuneOptions) => void;
  readonly train: (model: Model, given: FineTuneOptions, way: TrainingWay) => Promise<Run>;
  readonly signal: AbortSignal;
}

/** A run with a folder, which goes on there: on disk (Node), and in the storage of a browser. */
export async function fineTuneInFolder(model: Model, given: InFolder, { check, train, signal }: Ways): Promise<Run> {
  check(model, given);
  const { quantization: quantized, quantizeEmbeddings: embeddings } = model.training;
  const request = {
    ...given,
    // Of the model: they decide what is computed, as the run's own settings do.
    quantization: quantized?.type,
    doubleQuantization: quantized?.doubleQuantization,
    quantizeEmbeddings: embeddings,
  };
  const run = await beginRun(request, {
    place: await placeOf(given.output),
    sources: typeof given.output === 'string' ? [model.name] : [],
    prepare({ quantization, doubleQuantization, quantizeEmbeddings, ...filled }) {
      checkSame('quantization', quantization, quantized?.type);
      checkSame('doubleQuantization', doubleQuantization, quantized?.doubleQuantization);
      checkSame('quantizeEmbeddings', quantizeEmbeddings, embeddings);
      return prepare(model, filled, check);
    },
  });
  const { options, folder, resume } = run;
  const { onCheckpoint } = given;
  const hooks = folderHooks(run, {
    filesOf: (method, applied) => originFilesToSave(model, method, applied),
    backend: model.training.backend,
  });
  const checkpoint: typeof hooks.checkpoint = async (state, learned) => {
    const place = await hooks.checkpoint(state, learned);
    await onCheckpoint?.(state);
    return place;
  };
  try {
    const trained = await train(model, options, { resume, signal, hooks: { ...hooks, checkpoint } });
    await folder.close({ eval_loss: trained.evaluation?.loss ?? null });
    return trained;
  } catch (error) {
    await folder.fail(error);
    throw error;
  } finally {
    // Removes what was made for it and is empty, too.
    await run.claim.discard();
  }
}

async function prepare(model: Model, filled: InFolder, check: Ways['check']): Promise<PreparedRun<InFolder>> {
  check(model, filled);
  const { data, evalData, initAdapter } = filled;
  const { files } = model.training.open;
  const inputs: RunInput[] = [];
  if (files !== undefined) inputs.push(await lookAtFiles('model', files));
  inputs.push(await lookAtRows('data', data));
  if (evalData !== undefined) inputs.push(await lookAtRows('evalData', evalData));
  if (initAdapter !== undefined)
    inputs.push(await lookAtFiles('initAdapter', (await findFiles(initAdapter, 'adapter')).files));
  const places: Record<string, string> = { model: filled.baseModel ?? model.name };
  for (const [role, rows] of [
    ['data', data],
    ['evalData', evalData],
  ] as const)
    if (typeof rows === 'string') places[role] = rows;
  return { options: filled, inputs, places };
}

/** A setting of the run that goes on, which the model was loaded with or without. */
function checkSame(name: string, was: unknown, is: unknown): void {
  if (was === is) return;
  throw new LowrankError({
    code: 'run.changed',
    what: `${name} of a run that goes on`,
    expected: was === undefined ? 'none, as it began' : `${String(was)}, as it began`,
    got: is === undefined ? 'none' : String(is),
    remedy: `Load the model as it was: loadModel(source, { ${name} }), or begin anew: another output.`,
    setting: name,
  });
}
