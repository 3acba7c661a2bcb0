import { LowrankError } from '@lowrank/errors';
import type { Command } from 'commander';
import { methodNames } from '@lowrank/methods';
import { number, wholeNumber } from '@lowrank/settings';
import type { Backend } from '@lowrank/tensor';
import { compareMethods, describeTable } from '@lowrank/study';
import { comparedMethods, defaultRates } from '../jobs/comparedMethods.js';
import type { ComparedMethodName } from '../jobs/comparedMethods.js';
import { modelHelp } from './commonFlags.js';
import { listFlag, numberFlag } from './numbers.js';
import { addStudyFlags, numbersFlag, studyOptions, studyTraining } from './studyFlags.js';
import type { StudyFlags } from './studyFlags.js';
import { trainingRules } from '../jobs/studyTrainer.js';
import { studyExecutor } from './studyExecutor.js';
import type { StudyContext } from './studyReporter.js';
import { runStudyCommand } from './studyReporter.js';
import { addBudgetFlags, addDataFlags, addTaskFlags, addMethodFlags } from './trainingFlags.js';

export type CompareFlags = StudyFlags & {
  methods: ComparedMethodName[];
  learningRates?: Rates;
  tuneRows: number;
  tuneSteps?: number;
};

type Rates = Partial<Record<ComparedMethodName, readonly number[]>>;

export function addCompareFlags(command: Command): Command {
  const whole = (flag: string, min: number): ((text: string) => number) => numberFlag(flag, wholeNumber({ min }));
  command
    .description(
      'train several methods on one task with one budget, each with a learning rate chosen for it, and report ' +
        'how they do: a table, charts, a report',
    )
    .requiredOption('--model <model>', modelHelp);
  addTaskFlags(addDataFlags(command))
    .requiredOption(
      '--output <folder>',
      'where runs, table.md, table.json, chart.svg and report.html go; what is done there is not done again',
    )
    .option('--methods <names>', `which: ${comparedMethods.join(', ')}`, methodsFlag, [...comparedMethods])
    .option(
      '--learning-rates <rates>',
      'to choose from: 1e-4,3e-4 for all methods, or full=1e-4,1e-3 for one; may be given several times ' +
        `(default: three for each method, full=${defaultRates.full.join()} and so on)`,
      ratesFlag,
    )
    .option(
      '--tune-rows <rows>',
      'rows held out of the training data, by whole prompts, to choose learning rates by',
      whole('--tune-rows', 1),
      200,
    )
    .option('--tune-steps <n>', 'steps of the runs that choose (default: --steps)', whole('--tune-steps', 1));
  addBudgetFlags(addStudyFlags(command));
  const methods = methodNames.filter((name) => comparedMethods.some((compared) => compared === name));
  return addMethodFlags(command, methods, { without: ['initAdapter'] }).addHelpText(
    'after',
    '\nExample:\n  $ lowrank compare --methods full,lora,qlora --model ./llama --data rows.jsonl ' +
      '--test-data test.jsonl --metric rouge-l,loss --steps 300 --seeds 3 --output ' +
      './comparison\n\n--quantization and --double-quantization apply to qlora (default: nf4, double). Ctrl-C ' +
      'ends the current run (with --queue: workers finish theirs); the same command continues.',
  );
}

export async function compareCommand(
  flags: CompareFlags,
  context: StudyContext & { readonly backend: () => Promise<Backend> },
): Promise<void> {
  const { methods, learningRates, tuneRows, tuneSteps, ...shared } = flags;
  await runStudyCommand(
    { ...context, queue: flags.queue },
    (hooks) =>
      compareMethods({
        ...studyOptions(shared),
        training: studyTraining(shared),
        methods,
        learningRates,
        tuneRows,
        tuneSteps,
        rules: trainingRules,
        executor: studyExecutor(flags, context),
        ...hooks,
      }),
    describeTable,
  );
}

function methodsFlag(text: string): ComparedMethodName[] {
  const names = listFlag('--methods')(text).map(
    (name) => comparedMethods.find((method) => method === name) ?? noMethod(name),
  );
  return [...new Set(names)];
}

/** `1e-4,3e-4` or `lora=1e-4,3e-4`; what is said of one method goes before what is said of all. */
function ratesFlag(text: string, before: Rates = {}): Rates {
  const parse = numbersFlag('--learning-rates', number({ above: 0 }));
  const [name, rates] = text.includes('=')
    ? [text.slice(0, text.indexOf('=')).trim(), text.slice(text.indexOf('=') + 1)]
    : [undefined, text];
  if (name === undefined)
    return { ...Object.fromEntries(comparedMethods.map((method) => [method, parse(rates)])), ...before };
  const method = comparedMethods.find((known) => known === name) ?? noMethod(name);
  return { ...before, [method]: parse(rates) };
}

function noMethod(name: string): never {
  throw new LowrankError({ code: 'cli.choice', what: '--methods', expected: comparedMethods.join(', '), got: name });
}
