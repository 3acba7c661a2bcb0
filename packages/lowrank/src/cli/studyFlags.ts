import { LowrankError } from '@lowrank/errors';
import type { Command } from 'commander';
import type { MetricName } from '@lowrank/data';
import { metricNames, taskMetricNames } from '@lowrank/data';
import { wholeNumber } from '@lowrank/settings';

import type { StudyOptions, StudyTraining } from '@lowrank/study';
import { listFlag, numberFlag } from './numbers.js';
import { addQueueFlag } from './studyExecutor.js';
import type { QueueFlags } from './studyExecutor.js';
import type { TrainingFlags } from './trainingFlags.js';

/** Of texts that are written, and of tasks. */
const allMetrics: readonly MetricName[] = [...metricNames, ...taskMetricNames];

/** Flags that `compare`, `sweep` and `intrinsic` share. */
export type StudyFlags = TrainingFlags &
  QueueFlags & {
    model: string;
    output: string;
    testData?: string;
    holdOut: number;
    metric: MetricName[];
    scoreRows?: number;
    maxNewTokens?: number;
    seeds: number;
  };

export function addStudyFlags(command: Command): Command {
  const whole = (flag: string, min: number): ((text: string) => number) => numberFlag(flag, wholeNumber({ min }));
  return addMetricFlags(
    addQueueFlag(command).option(
      '--test-data <file>',
      'rows that the results are scored on (default: --hold-out rows of the data)',
    ),
    ['loss'],
  )
    .option(
      '--hold-out <rows>',
      'without --test-data: rows held out of the data, by whole prompts',
      whole('--hold-out', 1),
      200,
    )
    .option('--seeds <n>', 'train and score each row of the table so many times', whole('--seeds', 1), 1);
}

/** Flags of whatever scores texts: `eval`, `compare`, `sweep` and `intrinsic`. */
export function addMetricFlags(command: Command, metrics: readonly MetricName[]): Command {
  const whole = (flag: string, min: number): ((text: string) => number) => numberFlag(flag, wholeNumber({ min }));
  return command
    .option(
      '--metric <names>',
      `${allMetrics.join(', ')}: what is reported, with commas between them; the first one decides`,
      metricFlag,
      metrics,
    )
    .option(
      '--score-rows <n>',
      'score at most this many distinct prompts, sampled with a fixed seed (default: all)',
      whole('--score-rows', 1),
    )
    .option(
      '--max-new-tokens <n>',
      'of the texts that are written for metrics (default: as many as the longest reference has)',
      whole('--max-new-tokens', 1),
    );
}

function metricFlag(text: string): MetricName[] {
  return listFlag('--metric')(text).map((name) => {
    const found = allMetrics.find((metric) => metric === name);
    if (found !== undefined) return found;
    throw new LowrankError({ code: 'cli.choice', what: '--metric', expected: allMetrics.join(', '), got: name });
  });
}

/** a, 0.001,0.0003 → numbers. */
export function numbersFlag(flag: string, schema?: Parameters<typeof numberFlag>[1]): (text: string) => number[] {
  return (text) => listFlag(flag)(text).map(numberFlag(flag, schema));
}

/** What every run of a study shares. */
export function studyTraining(flags: StudyFlags): StudyTraining {
  const {
    testData: _,
    holdOut: _2,
    metric: _3,
    scoreRows: _4,
    maxNewTokens: _5,
    seeds: _6,
    output: _7,
    device: _8,
    robustness: _9,
    tune: _10,
    json: _11,
    queue: _12,
    ...training
  } = flags;
  return training;
}

export function studyOptions(
  flags: StudyFlags,
): Omit<StudyOptions, 'executor' | 'rules' | 'signal' | 'onEvent' | 'training'> {
  const { output, testData, holdOut, metric, scoreRows, maxNewTokens, seeds } = flags;
  return { output, testData, holdOut, metrics: metric, scoreRows, maxNewTokens, seeds };
}
