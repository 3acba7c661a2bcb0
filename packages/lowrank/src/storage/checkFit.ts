import { ownDisk } from '@lowrank/files';
import type { RemoteModel } from '@lowrank/models';
import {
  ggufFiles,
  isGgufName,
  lookAtRemote,
  modelFileNames,
  openWeights,
  parseHubId,
  readJson,
  storedCodes,
} from '@lowrank/models';
import type { DeviceName } from '../device.js';
import { findFiles } from '../front/modelSource.js';
import { cachedInBrowser } from '../front/originSource.js';
import type { ModelSource } from '../front/modelSource.js';
import { plannedRun } from '../jobs/planning/plannedRun.js';
import type { PlanOptions } from '../jobs/planning/plannedRun.js';
import type { RunCost } from '../jobs/planning/planRun.js';
import { planDtypes, planRun } from '../jobs/planning/planRun.js';
import { planDeviceHere } from './planDeviceHere.js';
import type { StorageWarning } from './storageState.js';
import { storageState } from './storageState.js';

/** Options of {@link checkFit}: those of a run that memory depends on. */
export interface FitOptions extends Omit<PlanOptions, 'config' | 'model' | 'device' | 'memory' | 'on' | 'steps'> {
  readonly device?: DeviceName | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a model and a run with it would cost here. */
export interface Fit {
  readonly model: string;
  readonly parameters: number;
  /** That are still to be downloaded, or for picked files to be copied. */
  readonly downloadBytes: number;
  /** Of all its files in the storage. */
  readonly storeBytes: number;
  /** That the browser lets this origin store beside what it has; undefined where it does not tell. */
  readonly freeBytes: number | undefined;
  readonly device: string;
  /** On the device while it trains, from the compiled plan. */
  readonly peakBytes: number;
  readonly bytes: RunCost['bytes'];
  /** What the device has; undefined where nobody tells, as with WebGPU. */
  readonly memoryBytes: number | undefined;
  /** False where one of the problems stands in the way. */
  readonly fits: boolean;
  readonly problems: readonly StorageWarning[];
}

/**
 * Whether a model and a run with it fit, before anything large is downloaded: its configuration and the header of its
 * weights are read where they are, by ranges, and the run is planned for the device.
 *
 * @throws LowrankError what `loadModel` throws for a source that cannot be read or is no model, and what planFineTune
 * throws for options that exclude each other
 */
export async function checkFit(source: ModelSource, options: FitOptions = {}): Promise<Fit> {
  const { device: wanted = 'auto', signal, ...plan } = options;
  const files = await filesOf(source, signal);
  const config = await readJson(files, 'config.json');
  const codes = await storedCodes(files);
  const dtype = codes === undefined ? await dtypeOf(files) : undefined;
  const run = plannedRun({ dtype, ...plan }, { name: files.name, config, codes });
  const device = await planDeviceHere(wanted, plan.precision);
  const cost = await planRun(run, device);
  const { freeBytes } = await storageState();
  const problems: StorageWarning[] = [];
  if (freeBytes !== undefined && files.missingBytes > freeBytes)
    problems.push({
      code: 'storage.quota',
      text: `${megabytes(files.missingBytes)} to store, and the browser gives this site ${megabytes(freeBytes)} more.`,
      remedy: 'Remove stored models or runs, choose a smaller model, or free some of the disk.',
    });
  const { memoryBytes } = device;
  if (memoryBytes !== undefined && cost.bytes.peak > memoryBytes)
    problems.push({
      code: 'storage.memory',
      text: `Training takes ${megabytes(cost.bytes.peak)} on ${device.name}, which has ${megabytes(memoryBytes)}.`,
      remedy: 'Quantize the model (quantization: nf4), use checkpointing, a smaller batch or shorter rows.',
    });
  return {
    model: files.name,
    parameters: cost.parameters,
    downloadBytes: files.missingBytes,
    storeBytes: files.bytes,
    freeBytes,
    device: device.name,
    peakBytes: cost.bytes.peak,
    bytes: cost.bytes,
    memoryBytes,
    fits: problems.length === 0,
    problems,
  };
}

/** A source's files where they are; of what is on this device nothing is missing. */
async function filesOf(source: ModelSource, signal: AbortSignal | undefined): Promise<RemoteModel> {
  if (typeof source === 'string' && isRemote(source) && !(await isStored(source))) {
    const { from, cache, gguf } = await cachedInBrowser(source);
    const remote = await lookAtRemote(from, { cache, signal, only: gguf });
    const file = gguf === undefined ? undefined : await remote.file(gguf);
    return file === undefined ? remote : { ...remote, ...(await ggufFiles(file, gguf)) };
  }
  const { files } = await findFiles(source, 'model', { signal });
  let bytes = 0;
  for (const name of await modelFileNames(files)) bytes += (await (await files.file(name))?.size()) ?? 0;
  return { ...files, bytes, missingBytes: typeof source === 'string' ? 0 : bytes };
}

/** What is in the storage goes before a hub id of the same letters; addresses are no paths there. */
async function isStored(source: string): Promise<boolean> {
  return (await ownDisk.stat(source).catch(() => undefined)) !== undefined;
}

/** In a browser every hub id and address; Node has its own caches, and downloads into them. */
function isRemote(source: string): boolean {
  const inBrowser = typeof process === 'undefined' || process.versions?.node === undefined;
  return inBrowser && (parseHubId(source) !== undefined || /^https?:/.test(source) || isGgufName(source));
}

/** That of most weights. */
async function dtypeOf(files: RemoteModel): Promise<(typeof planDtypes)[number]> {
  const bytes = { bf16: 0, f16: 0, f32: 0 };
  for (const { dtype, byteLength } of (await openWeights(files)).tensors.values()) {
    const name = dtype.toLowerCase();
    if (name === 'bf16' || name === 'f16' || name === 'f32') bytes[name] += byteLength;
  }
  return planDtypes.reduce((most, each) => (bytes[each] > bytes[most] ? each : most));
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
