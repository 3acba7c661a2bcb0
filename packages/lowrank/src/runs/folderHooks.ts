import type { AppliedMethod, Method, MethodFiles } from '@lowrank/methods';
import type { Backend } from '@lowrank/tensor';
import type { RunEvent, RunHooks } from '../front/runOptions.js';
import type { BegunRun, RunRequest } from './beginRun.js';
import { readCheckpoint } from './checkpointFolders.js';
import { checkSteps } from './runChanges.js';
import { statusOf } from './runFolder.js';

export interface FolderHookOptions {
  /** The files of what was learned. */
  readonly filesOf: (method: Method, applied: AppliedMethod) => Promise<MethodFiles>;
  readonly backend: () => Promise<Backend>;
  readonly onEvent?: ((event: RunEvent) => unknown) | undefined;
}

/** How a training writes into the folder of its run: record, metrics, checkpoints, and the result. */
export function folderHooks<Given extends RunRequest>(
  run: BegunRun<Given, unknown>,
  { filesOf, backend, onEvent }: FolderHookOptions,
): Omit<RunHooks, 'checkpoint'> & Required<Pick<RunHooks, 'checkpoint'>> {
  const { folder, record, resume } = run;
  return {
    baseline: true,
    async planned(steps) {
      if (record !== undefined && resume !== undefined) checkSteps(steps, { step: resume.step, record });
      const opened = await backend();
      folder.plan({ steps, device: `${opened.name}, ${opened.description}` }, () => opened.memory);
    },
    checkpoint: async (state, { method, applied }) => folder.checkpoint(state, await filesOf(method, applied)),
    loadBest: ({ step }) => loadBest(run, step),
    async save(method, applied, { stoppedBy, steps: step, finalLoss, seconds }) {
      folder.ended({
        status: statusOf(stoppedBy),
        stopped_by: stoppedBy,
        step,
        seconds,
        loss: finalLoss ?? null,
      });
      return folder.save(await filesOf(method, applied));
    },
    async onEvent(event) {
      await folder.onEvent(event);
      await onEvent?.(event);
    },
  };
}

async function loadBest(
  { folder, claim, given }: BegunRun<RunRequest, unknown>,
  step: number,
): ReturnType<NonNullable<RunHooks['loadBest']>> {
  if (folder.bestCheckpoint !== undefined) return readCheckpoint(folder.path, step, claim.disk);
  const text = `the weights of the best step, ${step}, were not saved: the result is of the last step`;
  await given.onEvent?.({ type: 'warning', text });
  return undefined;
}
