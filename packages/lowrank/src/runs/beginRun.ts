import type { OutputClaim } from '@lowrank/files';
import { claimOutput } from '@lowrank/files';
import type { FineTuneFolderOptions } from '../jobs/fineTuneOptions.js';
import { withFolders } from '../jobs/folders.js';
import type { RunState } from '../front/runState.js';
import { checkOptions, checkValues } from '../settings/checkOptions.js';
import { checkpointName, checkpointSteps, readCheckpoint } from './checkpointFolders.js';
import type { FoundRun } from './findRun.js';
import { findRun } from './findRun.js';
import { checkSettings, runSettings, withoutPasswords, withRunSettings } from './runChanges.js';
import { RunFolder } from './runFolder.js';
import type { RunInput } from './runInputs.js';
import { checkInput, lookAt } from './runInputs.js';
import type { RunRecord } from './runRecord.js';
import { recordVersion } from './runRecord.js';

/** A run that is about to train: a new one, or one that goes on. */
export interface BegunRun<Options> {
  /** As they were given, with the settings of the run that goes on. */
  readonly given: Options;
  /** With folders for models and adapters, and the settings of the run that goes on. */
  readonly options: Options & { readonly baseModel: string };
  readonly claim: OutputClaim;
  readonly folder: RunFolder;
  /** The state that it goes on from. */
  readonly resume: RunState | undefined;
  /** Of the run that goes on, as it was. */
  readonly record: RunRecord | undefined;
}

/**
 * Takes the output folder, finds the run in it that is to go on, and compares it with what is asked for; looks at all
 * inputs.
 *
 * @param others names of options that are no settings
 * @throws LowrankError what claimOutput, findRun, checkOptions, checkValues, checkSettings and checkInput throw
 */
export async function beginRun(
  given: FineTuneFolderOptions,
  others: readonly string[],
): Promise<BegunRun<FineTuneFolderOptions>> {
  const { output, model, resume, overwrite } = given;
  let claim = await claimOutput(output, { inputs: [model], overwrite, resume: overwrite === true ? undefined : 'run' });
  try {
    const found = overwrite === true ? undefined : await findRun(output, resume === true);
    if (found === undefined && claim.holds !== undefined && overwrite !== true) {
      // Something else than a run that can go on: the same refusal as for any output.
      await claim.release();
      claim = await claimOutput(output, { inputs: [model] });
    }
    return await begun(given, { claim, found, others });
  } catch (error) {
    await claim.discard();
    throw error;
  }
}

async function begun(
  given: FineTuneFolderOptions,
  {
    claim,
    found,
    others,
  }: { readonly claim: OutputClaim; readonly found: FoundRun | undefined; readonly others: readonly string[] },
): Promise<BegunRun<FineTuneFolderOptions>> {
  const goesOn = found?.step === undefined ? undefined : found.record;
  if (goesOn !== undefined) checkSettings(given, goesOn);
  const filled = found === undefined ? given : withRunSettings(given, found.record);
  checkOptions(filled);
  checkValues(filled, others);
  const warn = async (text: string): Promise<void> => filled.onEvent?.({ type: 'warning', text });
  const warnings: string[] = [];
  const options = await withFolders(filled, {
    onTransfer: filled.onTransfer,
    onWarning: (text) => void warnings.push(text),
  });
  for (const text of warnings) await warn(text);
  const inputs = await inputsOf(options);
  if (goesOn !== undefined) checkInputs(goesOn.inputs, inputs);
  const resume = found?.step === undefined ? undefined : await readCheckpoint(claim.path, found.step);
  const record = await newRecord(options, { filled, inputs, resume, claim, before: goesOn });
  if (found !== undefined) await filled.onEvent?.({ type: 'resumed', folder: claim.path, step: found.step });
  const folder = new RunFolder({ claim, record, resume, keepLast: filled.keepLast, warn });
  return { given: filled, options, claim, folder, resume, record: goesOn };
}

/** What decides what is computed, beside the settings. */
async function inputsOf(options: FineTuneFolderOptions): Promise<RunInput[]> {
  const inputs: RunInput[] = [];
  for (const role of ['model', 'data', 'evalData', 'initAdapter', 'template'] as const) {
    const path = options[role];
    if (path !== undefined) inputs.push(await lookAt(role, path));
  }
  return inputs;
}

function checkInputs(before: readonly RunInput[], now: readonly RunInput[]): void {
  for (const input of before)
    checkInput(input, now.find(({ role }) => role === input.role) ?? { ...input, files: [], path: 'none' });
}

async function newRecord(
  options: FineTuneFolderOptions & { readonly baseModel: string },
  {
    filled,
    inputs,
    resume,
    claim,
    before,
  }: {
    /** With places as they were given. */
    readonly filled: FineTuneFolderOptions;
    readonly inputs: readonly RunInput[];
    readonly resume: RunState | undefined;
    readonly claim: OutputClaim;
    readonly before: RunRecord | undefined;
  },
): Promise<RunRecord> {
  const { method = 'lora', baseModel, data, evalData } = options;
  const now = new Date().toISOString();
  const saved = resume === undefined ? [] : await checkpointSteps(claim.path);
  const best = resume?.best;
  return {
    version: recordVersion,
    status: 'running',
    started: before?.started ?? now,
    updated: now,
    method,
    places: withoutPasswords({ model: baseModel, data, ...(evalData === undefined ? {} : { evalData }) }),
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
