import { LowrankError } from '@lowrank/errors';
import type { MethodFiles } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import type { MethodName } from '@lowrank/methods';
import { openFolder } from '@lowrank/models';
import { join } from 'node:path';
import { checkpointName, checkpointSteps } from '../runs/checkpointFolders.js';
import { readRecord } from '../runs/runRecord.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';

/** How far a run is. */
export interface RunSoFar {
  readonly step: number;
  /** PEFT's files of its adapter. */
  readonly adapter: MethodFiles;
}

/** A run as its folder has it. */
export interface RunToExport {
  readonly options: Omit<FineTuneFolderOptions, 'backend'>;
  /** Undefined before its first checkpoint, and of methods that save a model. */
  readonly sofar: RunSoFar | undefined;
}

const files = ['README.md', 'adapter_model.safetensors', 'adapter_config.json'];

/**
 * Reads a run folder: what was asked for, and the adapter of its end or of its last checkpoint.
 *
 * @throws LowrankError `run.record` where it holds no run
 */
export async function runToExport(folder: string): Promise<RunToExport> {
  const record = await readRecord(folder);
  if (record === undefined)
    throw new LowrankError({
      code: 'run.record',
      what: folder,
      expected: 'a configuration file, or the folder of a run with its run.json',
      got: 'neither',
    });
  const { places, given, method, status } = record;
  const options = { ...given, ...places, method, output: folder } as unknown as RunToExport['options'];
  const last = (await checkpointSteps(folder)).at(-1);
  const place = status === 'finished' || last === undefined ? folder : join(folder, checkpointName(last));
  const step = place === folder ? record.step : (last ?? 0);
  const adapter =
    methodNamed(method as MethodName).saves === 'adapter' && step > 0 ? await adapterIn(place) : undefined;
  return { options, sofar: adapter && { step, adapter } };
}

async function adapterIn(folder: string): Promise<MethodFiles> {
  const found = await openFolder(folder);
  const read: Record<string, Uint8Array> = {};
  for (const name of files) {
    const source = await found.file(name);
    if (source !== undefined) read[name] = new Uint8Array(await source.read(0, await source.size()));
  }
  return read;
}
