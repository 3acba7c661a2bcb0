import type { OutputClaim, Place } from '@lowrank/files';
import { claimOutput } from '@lowrank/files';
import type { FineTuneEvent } from '../jobs/fineTuneOptions.js';
import type { RunState } from '../front/runState.js';
import { checkpointName, checkpointSteps, readCheckpoint } from './checkpointFolders.js';
import type { FoundRun } from './findRun.js';
import { findRun } from './findRun.js';
import { checkSettings, runSettings, withoutPasswords, withRunSettings } from './runChanges.js';
import type { RunFollowers } from './runFolder.js';
import { RunFolder } from './runFolder.js';
import type { RunInput } from './runInputs.js';
import { checkInput } from './runInputs.js';
import type { MicroBatches, RunRecord } from './runRecord.js';
import { layoutOf } from '../jobs/smallerBatches.js';
import { recordVersion } from './runRecord.js';

/** What all runs with a folder are called with, beside the settings of the tables. */
export interface RunRequest {
  readonly method?: string | undefined;
  readonly resume?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
  readonly keepLast?: number | undefined;
  onEvent?(event: FineTuneEvent): unknown;
}

/** A run whose options are known to be right, and what it reads. */
export interface PreparedRun<Options> {
  readonly options: Options;
  /** What decides what is computed, beside the settings. */
  readonly inputs: readonly RunInput[];
  /** Of the record: `model`, `data`, `evalData`. */
  readonly places: Readonly<Record<string, string>>;
}

export interface BeginOptions<Given, Options> {
  readonly place: Place;
  /** Folders that are read from. */
  readonly sources?: readonly string[];
  /** Checks the options, with the settings of a run that goes on, and looks at all inputs. */
  readonly prepare: (filled: Given) => Promise<PreparedRun<Options>>;
  readonly followers?: RunFollowers | undefined;
  readonly again?: AgainRun | undefined;
}

/** A run that is about to train: a new one, or one that goes on. */
export interface BegunRun<Given, Options = Given> {
  /** As they were given, with the settings of the run that goes on. */
  readonly given: Given;
  /** As `prepare` made them. */
  readonly options: Options;
  readonly claim: OutputClaim;
  readonly folder: RunFolder;
  /** The state that it goes on from. */
  readonly resume: RunState | undefined;
  /** Of the run that goes on, as it was. */
  readonly record: RunRecord | undefined;
}

/** What a run has come to in this process, when it is begun again. */
export interface AgainRun {
  /** A state in memory that is newer than its checkpoints. */
  readonly state?: RunState | undefined;
  readonly microBatches?: MicroBatches | undefined;
}

/**
 * Takes the output folder, finds the run in it that is to go on, and compares it with what is asked for: on disk, and
 * in the storage of a browser alike.
 *
 * @throws LowrankError what claimOutput, findRun, checkSettings, checkInput and `prepare` throw
 */
export async function beginRun<Given extends RunRequest, Options>(
  given: Given,
  how: BeginOptions<Given, Options>,
): Promise<BegunRun<Given, Options>> {
  const { place, sources: inputs } = how;
  const { resume, overwrite } = given;
  const claiming = { inputs, disk: place.disk };
  let claim = await claimOutput(place.path, {
    ...claiming,
    overwrite,
    resume: overwrite === true ? undefined : 'run',
  });
  try {
    const stored = overwrite === true ? undefined : await findRun(place.path, resume === true, place.disk);
    const found = stored && { ...stored, step: how.again?.state?.step ?? stored.step };
    if (found === undefined && claim.holds !== undefined && overwrite !== true) {
      // Something else than a run that can go on: the same refusal as for any output.
      await claim.release();
      claim = await claimOutput(place.path, claiming);
    }
    return await begun(given, how, { claim, found });
  } catch (error) {
    await claim.discard();
    throw error;
  }
}

async function begun<Given extends RunRequest, Options>(
  given: Given,
  { prepare, followers, again = {} }: BeginOptions<Given, Options>,
  { claim, found }: { readonly claim: OutputClaim; readonly found: FoundRun | undefined },
): Promise<BegunRun<Given, Options>> {
  const goesOn = found?.step === undefined ? undefined : found.record;
  if (goesOn !== undefined) checkSettings(given, goesOn);
  const filled = found === undefined ? given : withRunSettings(given, found.record);
  const prepared = await prepare(filled);
  if (goesOn !== undefined) checkInputs(goesOn.inputs, prepared.inputs);
  const stored = again.state === undefined ? found?.step : undefined;
  const resume = stored === undefined ? again.state : await readCheckpoint(claim.path, stored, claim.disk);
  const layouts = layoutsOf(goesOn?.micro_batches, again.microBatches);
  const record = {
    ...(await newRecord(filled, { prepared, resume, claim, before: goesOn })),
    ...(layouts.length > 0 && { micro_batches: layouts }),
  };
  if (found !== undefined) await filled.onEvent?.({ type: 'resumed', folder: claim.path, step: found.step });
  const warn = async (text: string): Promise<void> => void (await filled.onEvent?.({ type: 'warning', text }));
  const folder = new RunFolder({ claim, record, resume, keepLast: filled.keepLast, warn, followers });
  return {
    given: filled,
    options: { ...prepared.options, ...layoutOf(layouts.at(-1)) },
    claim,
    folder,
    resume,
    record: goesOn,
  };
}

/** Those that the run has come to by now. */
function layoutsOf(before: readonly MicroBatches[] = [], now: MicroBatches | undefined): readonly MicroBatches[] {
  return now === undefined || JSON.stringify(before.at(-1)) === JSON.stringify(now) ? before : [...before, now];
}

function checkInputs(before: readonly RunInput[], now: readonly RunInput[]): void {
  for (const input of before)
    checkInput(input, now.find(({ role }) => role === input.role) ?? { ...input, files: [], path: 'none' });
}

async function newRecord(
  /** With places as they were given. */
  filled: RunRequest,
  {
    prepared: { inputs, places },
    resume,
    claim,
    before,
  }: {
    readonly prepared: PreparedRun<unknown>;
    readonly resume: RunState | undefined;
    readonly claim: OutputClaim;
    readonly before: RunRecord | undefined;
  },
): Promise<RunRecord> {
  const { method = 'lora' } = filled;
  const now = new Date().toISOString();
  const saved = resume === undefined ? [] : await checkpointSteps(claim.path, claim.disk);
  const best = resume?.best;
  return {
    version: recordVersion,
    status: 'running',
    started: before?.started ?? now,
    updated: now,
    method,
    places: withoutPasswords(places),
    device: '',
    inputs,
    ...runSettings(method, filled),
    steps: 0,
    step: resume?.step ?? 0,
    seconds: resume?.seconds ?? 0,
    loss: resume?.loss ?? null,
    best:
      best === undefined
        ? null
        : {
            // Its measures, too, where the record has them.
            ...(before?.best?.step === best.step ? before.best : {}),
            step: best.step,
            eval_loss: best.loss,
            checkpoint: saved.includes(best.step) ? checkpointName(best.step) : null,
          },
    resumes: resume === undefined ? [] : [...(before?.resumes ?? []), { step: resume.step, at: now }],
    stopped_by: null,
    trained_parameters: null,
    file_bytes: null,
    eval_loss: null,
    // A run of an earlier version has none.
    eval_loss_before: before?.eval_loss_before ?? null,
    samples: [],
    error: null,
  };
}
