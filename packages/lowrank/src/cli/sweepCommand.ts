import { LowrankError } from '@lowrank/errors';
import { loraSettings } from '@lowrank/lora';
import { trainingSettings } from '@lowrank/trainer';
import type { Command } from 'commander';
import type { Backend } from '@lowrank/tensor';
import { describeTable, sweepRanks } from '@lowrank/study';
import { trainingRules } from '../jobs/studyTrainer.js';
import { modelHelp } from './commonFlags.js';
import { listFlag } from './numbers.js';
import { valuesFlag } from './settingFlags.js';
import { addStudyFlags, studyOptions, studyTraining } from './studyFlags.js';
import type { StudyFlags } from './studyFlags.js';
import { studyExecutor } from './studyExecutor.js';
import type { StudyContext } from './studyReporter.js';
import { runStudyCommand } from './studyReporter.js';
import { addBudgetFlags, addDataFlags, addTaskFlags, addMethodFlags } from './trainingFlags.js';

export type SweepFlags = Omit<StudyFlags, 'r' | 'alpha' | 'learningRate' | 'targetModules'> & {
  r: number[];
  alpha?: number[];
  learningRate: number[];
  targetModules?: string[][];
};

export function addSweepFlags(command: Command): Command {
  command
    .description(
      'train LoRA adapters of several ranks, and with other settings if wanted, and report which does best on ' +
        'rows that were not trained on',
    )
    .requiredOption('--model <model>', modelHelp);
  addTaskFlags(addDataFlags(command))
    .requiredOption(
      '--output <folder>',
      'where runs, the best adapter, table.md, table.json, chart.svg and report.html go; what is done there ' +
        'is not done again',
    )
    .option('--r <ranks>', 'ranks: 1,2,4', valuesFlag('--r', r), [1, 2, 4, 8, 16, 64])
    .option(
      '--alpha <list>',
      'alphas: 8,16; the adapters count alpha/r times (default: each rank its own)',
      valuesFlag('--alpha', alpha),
    )
    .option(
      '--learning-rate <rates>',
      'peak learning rates: 3e-4,1e-3',
      valuesFlag('--learning-rate', learningRate),
      [2e-4],
    )
    .option(
      '--target-modules <sets>',
      "sets of layers: q_proj+v_proj,all-linear (default: PEFT's for the model)",
      targetsFlag,
    );
  addBudgetFlags(addStudyFlags(command)).addHelpText(
    'after',
    '\nExample:\n  $ lowrank sweep --r 1,2,4,8,16,64 --learning-rate 3e-4,1e-3 --model ./llama --data ' +
      'rows.jsonl --test-data test.jsonl --metric rouge-l --steps 300 --output ./sweep\n\nEvery combination is ' +
      'trained. Ctrl-C ends the current run (with --queue: workers finish theirs); the same command continues.',
  );
  return addMethodFlags(command, ['lora'], { without: ['initAdapter', 'r', 'alpha', 'targetModules'] });
}

export async function sweepCommand(
  flags: SweepFlags,
  context: StudyContext & { readonly backend: () => Promise<Backend> },
): Promise<void> {
  const { r, alpha, learningRate: learningRates, targetModules, ...shared } = flags;
  await runStudyCommand(
    { ...context, queue: flags.queue },
    (hooks) =>
      sweepRanks({
        ...studyOptions(shared),
        training: studyTraining(shared),
        r,
        alpha,
        learningRates,
        targetModules,
        rules: trainingRules,
        executor: studyExecutor(flags, context),
        ...hooks,
      }),
    describeTable,
  );
}

const { r, alpha } = loraSettings.settings;
const { learningRate } = trainingSettings.settings;

/** q_proj+v_proj,all-linear → [[q_proj, v_proj], [all-linear]] */
function targetsFlag(text: string): string[][] {
  return listFlag('--target-modules')(text).map((set) => {
    const names = set
      .split('+')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    if (names.length > 0) return names;
    throw new LowrankError({ code: 'cli.list', what: '--target-modules', expected: 'sets of names: a+b,c', got: text });
  });
}
