import type { ProjectionName } from '@lowrank/methods';
import { subspaceSettings } from '@lowrank/methods';
import { number, wholeNumber } from '@lowrank/settings';
import type { Backend } from '@lowrank/tensor';
import type { Command } from 'commander';
import { describeIntrinsic, intrinsicDimension } from '@lowrank/study';
import { trainingRules } from '../jobs/studyTrainer.js';
import { modelHelp } from './commonFlags.js';
import { numberFlag } from './numbers.js';
import { addSettingFlags } from './settingFlags.js';
import { studyExecutor } from './studyExecutor.js';
import { addStudyFlags, numbersFlag, studyOptions, studyTraining } from './studyFlags.js';
import type { StudyFlags } from './studyFlags.js';
import type { StudyContext } from './studyReporter.js';
import { runStudyCommand } from './studyReporter.js';
import { addBudgetFlags, addDataFlags, addTaskFlags } from './trainingFlags.js';

export type IntrinsicFlags = Omit<StudyFlags, 'learningRate'> & {
  dimensions: number[];
  projection: ProjectionName;
  entries?: number;
  structureAware?: boolean;
  learningRate?: number[];
  fullLearningRate?: number[];
  tuneRows: number;
  tuneSteps?: number;
};

export function addIntrinsicFlags(command: Command): Command {
  const whole = (flag: string, min: number): ((text: string) => number) => numberFlag(flag, wholeNumber({ min }));
  command
    .description(
      'the intrinsic dimension of a task: train within random subspaces of growing dimension, and find the ' +
        'smallest with 90% of what full fine-tuning does',
    )
    .requiredOption('--model <model>', modelHelp);
  addTaskFlags(addDataFlags(command))
    .requiredOption(
      '--output <folder>',
      'where runs, table.md, table.json, chart.svg and report.html go; what is done there is not done again',
    )
    .option(
      '--dimensions <numbers>',
      'numbers of trained parameters to try',
      numbersFlag('--dimensions', wholeNumber({ min: 1 })),
      [10, 30, 100, 300, 1000, 3000, 10000],
    )
    .option(
      '--learning-rate <rates>',
      'to choose from for each dimension, with commas between them (default: 0.0003,0.001,0.003)',
      numbersFlag('--learning-rate', number({ above: 0 })),
    )
    .option(
      '--full-learning-rate <rates>',
      'to choose from for full fine-tuning (default: 0.0003,0.001)',
      numbersFlag('--full-learning-rate', number({ above: 0 })),
    )
    .option(
      '--tune-rows <rows>',
      'rows held out of the training data, by whole prompts, to choose learning rates by',
      whole('--tune-rows', 1),
      200,
    )
    .option('--tune-steps <n>', 'steps of the runs that choose (default: --steps)', whole('--tune-steps', 1));
  addSettingFlags(command, subspaceSettings, { filled: true, only: ['projection'] });
  addSettingFlags(command, subspaceSettings, { without: ['dimension'] });
  return addBudgetFlags(addStudyFlags(command), { adapters: false }).addHelpText(
    'after',
    '\nExample:\n  $ lowrank intrinsic --model ./llama --data rows.jsonl --test-data test.jsonl --metric ' +
      'loss --dimensions 10,100,1000,10000 --steps 300 --output ./intrinsic\n\nCtrl-C ends the current run ' +
      '(with --queue: workers finish theirs); the same command continues.',
  );
}

export async function intrinsicCommand(
  flags: IntrinsicFlags,
  context: StudyContext & { readonly backend: () => Promise<Backend> },
): Promise<void> {
  const {
    dimensions,
    projection,
    entries,
    structureAware,
    learningRate,
    fullLearningRate,
    tuneRows,
    tuneSteps,
    ...shared
  } = flags;
  await runStudyCommand(
    { ...context, queue: flags.queue },
    (hooks) =>
      intrinsicDimension({
        ...studyOptions(shared),
        training: studyTraining(shared),
        dimensions,
        projection,
        entries,
        structureAware,
        learningRates: learningRate,
        fullLearningRates: fullLearningRate,
        tuneRows,
        tuneSteps,
        rules: trainingRules,
        executor: studyExecutor(flags, context),
        ...hooks,
      }),
    describeIntrinsic,
  );
}
