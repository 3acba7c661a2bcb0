import type { Command } from 'commander';
import type { Backend } from '@lowrank/tensor';
import type { Executor } from '@lowrank/study';
import { inProcess, overQueue } from '@lowrank/study';
import { studyTrainer } from '../jobs/studyTrainer.js';
import type { Speaker } from './io.js';

export interface QueueFlags {
  queue?: string;
}

export function addQueueFlag(command: Command): Command {
  return command.option(
    '--queue <url>',
    'redis://… or rediss://…: hand the runs to `lowrank worker` on other machines, or on this one; their ' +
      '--device counts; wants the package @lowrank/queue (default: do them here)',
  );
}

/** Where the runs of a study are done: here, one after another, or wherever there are workers. */
export function studyExecutor(
  { queue, output }: QueueFlags & { output: string },
  { backend, speaker }: { backend: () => Promise<Backend>; speaker: Speaker },
): Executor {
  return queue === undefined
    ? inProcess(studyTrainer(backend))
    : overQueue({ url: queue, output, onNote: (text) => speaker.say(text) });
}
