import { number } from '@lowrank/settings';
import type { Command } from 'commander';
import type { Backend } from '@lowrank/tensor';
import { workQueue } from '@lowrank/study';
import type { WorkQueueEvent } from '@lowrank/study';
import { studyTrainer } from '../jobs/studyTrainer.js';
import type { ComputingFlags } from './commonFlags.js';
import type { Speaker } from './io.js';
import { numberFlag } from './numbers.js';

export interface WorkerFlags extends ComputingFlags {
  queue: string;
  once?: boolean;
  idleExit?: number;
  takeoverAfter?: number;
  workFolder?: string;
}

export function addWorkerFlags(command: Command): Command {
  return command
    .description(
      'do runs that `lowrank sweep`, `compare` and `intrinsic` hand out with --queue, one at a time, until ' +
        'Ctrl-C; wants the package @lowrank/queue',
    )
    .requiredOption('--queue <url>', 'redis://… or rediss://…, the same as theirs')
    .option('--once', 'stop after one run')
    .option('--idle-exit <seconds>', 'stop after so long without a run', numberFlag('--idle-exit', number({ min: 0 })))
    .option(
      '--takeover-after <seconds>',
      'another worker takes over the run of this one when it was not heard of for so long (default: 20)',
      numberFlag('--takeover-after', number({ min: 1 })),
    )
    .option(
      '--work-folder <folder>',
      'where runs are done, and where files stay that are too large to travel (default: a temporary one)',
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank worker --queue redis://queue.local:6379 --device webgpu\n\nCtrl-C hands the ' +
        'current run back; another worker takes it. See docs/queue.md.',
    );
}

export async function workerCommand(
  flags: WorkerFlags,
  { backend, speaker, onInterrupted }: { backend: () => Promise<Backend>; speaker: Speaker; onInterrupted: () => void },
): Promise<void> {
  const controller = new AbortController();
  const release = speaker.io.onInterrupt(() => {
    controller.abort();
    onInterrupted();
  }, '\ninterrupted: the current run is handed back. Press Ctrl-C again to stop at once.\n');
  const { queue: url, once, idleExit, takeoverAfter, workFolder } = flags;
  const onEvent = (event: WorkQueueEvent): void => {
    speaker.line(event);
    speaker.say(describe(event));
  };
  try {
    const result = await workQueue({
      trainer: studyTrainer(backend),
      url,
      once,
      idleExit,
      takeoverAfter,
      workFolder,
      signal: controller.signal,
      onEvent,
    });
    const more = [
      ...(result.handed_back > 0 ? [`${result.handed_back} handed back`] : []),
      ...(result.lost > 0 ? [`${result.lost} taken over by others`] : []),
    ];
    speaker.result(result, [`${result.finished} ${result.finished === 1 ? 'run' : 'runs'} done`, ...more].join(', '));
  } finally {
    release();
  }
}

function describe(event: WorkQueueEvent): string {
  switch (event.type) {
    case 'ready':
      return 'waiting for runs';
    case 'connection':
      return event.state === 'lost'
        ? 'the connection to Redis is lost; trying again'
        : 'the connection to Redis is back';
    case 'trouble':
      return `warning: Redis: ${event.message}`;
    case 'started':
      return `${event.label}: begun`;
    case 'finished':
      return event.outcome === 'done' ? `${event.label}: done` : `${event.label}: failed: ${event.message ?? ''}`;
    case 'refused':
      return `${event.label}: left to other workers: ${event.message}`;
    case 'handedBack':
      return `${event.label}: handed back`;
    case 'lost':
      return `${event.label}: taken over by another worker; the result of this one is not wanted`;
  }
}
