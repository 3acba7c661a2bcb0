import { Command } from 'commander';
import { methodNamed, methodNames as methods } from '@lowrank/methods';
import { version } from '../../package.json';
import type { DeviceName } from '../device.js';
import type { RunToExport } from '../jobs/runToExport.js';
import { runToExport } from '../jobs/runToExport.js';
import type { QuantizationOptions } from '../jobs/quantization.js';
import type { LossMask, MetricName, RowSelection } from '@lowrank/data';
import type { OptionsOf } from '@lowrank/settings';
import type { ObjectiveName, ObjectiveOptions } from '@lowrank/trainer';
import type { taskSettings } from '../settings/taskSettings.js';
import { answering, common, computing, jsonHelp, modelHelp, overwriting, quantizing } from './commonFlags.js';
import type { AnsweringFlags, CommonFlags } from './commonFlags.js';
import { addCombineFlags } from './combineCommand.js';
import type { CombineFlags } from './combineCommand.js';
import { addCompareFlags } from './compareCommand.js';
import type { CompareFlags } from './compareCommand.js';
import { addConvertFlags } from './convertCommand.js';
import type { ConvertFlags } from './convertCommand.js';
import { addChatFlags } from './chatCommand.js';
import type { ChatFlags } from './chatCommand.js';
import { addDataCommandFlags } from './dataCommand.js';
import type { DataFlags } from './dataCommand.js';
import { addExportFlags } from './exportCommand.js';
import type { ExportFlags } from './exportCommand.js';
import { addGenerateFlags } from './generateCommand.js';
import type { GenerateFlags } from './generateCommand.js';
import { addInitFlags } from './initCommand.js';
import type { InitFlags } from './initCommand.js';
import { addInspectFlags } from './inspectCommand.js';
import type { InspectFlags } from './inspectCommand.js';
import { addIntrinsicFlags } from './intrinsicCommand.js';
import type { IntrinsicFlags } from './intrinsicCommand.js';
import { choiceFlag, listFlag } from './numbers.js';
import { addPlanFlags } from './planCommand.js';
import type { PredictFlags } from './predictCommand.js';
import { addPredictFlags } from './predictCommand.js';
import type { PlanFlags } from './planCommand.js';
import type { ProfileFlags } from './profileCommand.js';
import { addProfileFlags } from './profileCommand.js';
import { addQuantizeFlags } from './quantizeCommand.js';
import type { QuantizeFlags } from './quantizeCommand.js';
import type { RunsFlags } from './runsCommand.js';
import { addRunsFlags } from './runsCommand.js';
import { addSpectrumFlags } from './spectrumCommand.js';
import type { SpectrumFlags } from './spectrumCommand.js';
import { addRunFile, withRunFile } from './runFile.js';
import { addMetricFlags } from './studyFlags.js';
import { addSweepFlags } from './sweepCommand.js';
import type { SweepFlags } from './sweepCommand.js';
import { addWorkerFlags } from './workerCommand.js';
import type { WorkerFlags } from './workerCommand.js';
import { addSettingFlags } from './settingFlags.js';
import { addBudgetFlags, addDataFlags, addTaskFlags, addLossFlags, addMethodFlags } from './trainingFlags.js';
import { tokenSettings } from '../settings/runSettings.js';
import type { TrainFlags } from './trainingFlags.js';
import { addCheckpointFlags, placesOfRun } from './checkpointFlags.js';

export interface EvalFlags
  extends
    AnsweringFlags,
    QuantizationOptions,
    RowSelection,
    LossMask,
    ObjectiveOptions,
    OptionsOf<typeof taskSettings> {
  loss: ObjectiveName;
  model: string;
  adapter?: string;
  data: string;
  template?: string;
  maxLength?: number;
  validation?: number;
  metric: MetricName[];
  labels?: string[];
  scoreRows?: number;
  maxNewTokens?: number;
}

export interface MergeFlags extends CommonFlags {
  model: string;
  adapter: string;
  output: string;
  overwrite?: boolean;
}

/** What each command does with its flags. */
export interface Actions {
  train(flags: TrainFlags): Promise<void>;
  eval(flags: EvalFlags): Promise<void>;
  predict(texts: readonly string[], flags: PredictFlags & AnsweringFlags): Promise<void>;
  generate(flags: AnsweringFlags & GenerateFlags): Promise<void>;
  chat(flags: AnsweringFlags & ChatFlags): Promise<void>;
  merge(flags: MergeFlags): Promise<void>;
  combine(flags: CombineFlags): Promise<void>;
  inspect(flags: InspectFlags): Promise<void>;
  runs(folders: readonly string[], flags: RunsFlags): Promise<void>;
  spectrum(flags: SpectrumFlags): Promise<void>;
  convert(flags: ConvertFlags): Promise<void>;
  export(flags: ExportFlags, device: DeviceName, run: RunToExport): Promise<void>;
  init(flags: InitFlags): Promise<void>;
  plan(flags: PlanFlags): Promise<void>;
  profile(flags: ProfileFlags): Promise<void>;
  quantize(flags: QuantizeFlags): Promise<void>;
  compare(flags: CompareFlags): Promise<void>;
  sweep(flags: SweepFlags): Promise<void>;
  worker(flags: WorkerFlags): Promise<void>;
  intrinsic(flags: IntrinsicFlags): Promise<void>;
  data(flags: DataFlags): Promise<void>;
  doctor(flags: CommonFlags): Promise<void>;
}

/** The command line: names, flags, defaults and help. What the commands do is handed in. */
export function makeProgram(actions: Actions): Command {
  const program = new Command('lowrank')
    .description('Fine-tune language models with LoRA on any GPU that WebGPU reaches, or on the CPU.')
    .version(version)
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank train --model ./llama --data rows.jsonl --output ./adapter --steps ' +
        '200\n\n`lowrank COMMAND --help` lists the flags of a command.',
    );
  addTrain(program, actions);
  addInitFlags(program.command('init'))
    .option('--json', jsonHelp, false)
    .action((flags: InitFlags) => actions.init(flags));
  addEval(program, actions);
  addPredict(program, actions);
  addGenerate(program, actions);
  addChat(program, actions);
  addDataCommandFlags(program.command('data')).action((flags: DataFlags) => actions.data(flags));
  addMerge(program, actions);
  overwriting(addCombineFlags(program.command('combine'))).action((flags: CombineFlags) => actions.combine(flags));
  addInspectFlags(program.command('inspect')).action((flags: InspectFlags) => actions.inspect(flags));
  addRunsFlags(program.command('runs')).action((folders: string[], flags: RunsFlags) => actions.runs(folders, flags));
  overwriting(addSpectrumFlags(program.command('spectrum'))).action((flags: SpectrumFlags) => actions.spectrum(flags));
  overwriting(addConvertFlags(program.command('convert')))
    .option('--json', jsonHelp, false)
    .action((flags: ConvertFlags) => actions.convert(flags));
  addExport(program, actions);
  common(quantizing(addPlanFlags(program.command('plan')))).action((flags: PlanFlags) => actions.plan(flags));
  computing(overwriting(quantizing(addProfileFlags(program.command('profile'))))).action((flags: ProfileFlags) =>
    actions.profile(flags),
  );
  overwriting(addQuantizeFlags(program.command('quantize'))).action((flags: QuantizeFlags) => actions.quantize(flags));
  computing(quantizing(addCompareFlags(program.command('compare')))).action((flags: CompareFlags) =>
    actions.compare(flags),
  );
  computing(quantizing(addSweepFlags(program.command('sweep')))).action((flags: SweepFlags) => actions.sweep(flags));
  computing(addWorkerFlags(program.command('worker'))).action((flags: WorkerFlags) => actions.worker(flags));
  computing(addIntrinsicFlags(program.command('intrinsic'))).action((flags: IntrinsicFlags) =>
    actions.intrinsic(flags),
  );
  common(program.command('doctor').description('list the devices, what they can do, and what to install')).action(
    (flags: CommonFlags) => actions.doctor(flags),
  );
  return program;
}

/** Another engine gets the run that a file describes: its settings are those of `train`. */
function addExport(program: Command, actions: Actions): void {
  const command = addExportFlags(program.command('export')).option('--json', jsonHelp, false);
  command.action(async (place: string, flags: ExportFlags) => {
    if (await isFolder(place)) return actions.export(flags, 'auto', await runToExport(place));
    const train = program.commands.find((each) => each.name() === 'train');
    if (train === undefined) return;
    await withRunFile(train, place, {
      action: (run: TrainFlags) => {
        const { device, robustness: _, tune: _2, json: _3, ...options } = run;
        return actions.export(flags, device, { options, sofar: undefined });
      },
    });
  });
}

async function isFolder(path: string): Promise<boolean> {
  const { stat } = await import('node:fs/promises');
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

const adapterHelp = 'PEFT adapter: folder, hub id or URL';

function addTrain(program: Command, actions: Actions): void {
  const command = program
    .command('train')
    .description('fine-tune a model on rows of text, and save a PEFT adapter (or, with --method full, the model)');
  command.requiredOption('--model <model>', `${modelHelp}: config.json, model.safetensors, tokenizer.json`);
  addTaskFlags(addDataFlags(command))
    .requiredOption(
      '--output <folder>',
      'the run’s folder: the adapter, run.json, metrics.jsonl, report.html, checkpoints',
    )
    .option('--eval-data <file>', 'rows to report the loss on: at the end, and every --eval-every')
    .option(
      '--method <name>',
      `how: ${methods.map((name) => `${name} (${methodNamed(name).title})`).join(', ')}`,
      choiceFlag('--method', methods),
      'lora',
    );
  addBudgetFlags(addLossFlags(command), { rate: true });
  addCheckpointFlags(command);
  addSettingFlags(addMethodFlags(command, methods), tokenSettings).addHelpText(
    'after',
    '\nExample:\n  $ lowrank train --model ./llama --data rows.jsonl --output ./adapter --steps 200 ' +
      '--batch-size 8 --learning-rate 2e-4 \\\n      --r 8 --alpha 16 --target-modules all-linear\n\nCtrl-C ' +
      'finishes the step, saves, and ends with exit code 130; the same command goes on from there.',
  );
  addRunFile(computing(overwriting(command))).action((file: string | undefined) =>
    withRunFile(command, file, { fill: placesOfRun, action: (flags: TrainFlags) => actions.train(flags) }),
  );
}

function addEval(program: Command, actions: Actions): void {
  const command = program
    .command('eval')
    .description(
      'the loss of a model, with or without an adapter, over all label tokens of rows; and how good the ' +
        'texts are that it writes',
    )
    .requiredOption('--model <model>', modelHelp)
    .option('--adapter <adapter>', adapterHelp)
    .option(
      '--labels <names>',
      'with --metric label-accuracy: the answers to choose from (default: the different completions of the rows)',
      listFlag('--labels'),
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank eval --model ./llama --adapter ./adapter --data heldOut.jsonl --metric rouge-l --json',
    );
  answering(quantizing(addMetricFlags(addLossFlags(addTaskFlags(addDataFlags(command))), ['loss']))).action(
    (flags: EvalFlags) => actions.eval(flags),
  );
}

function addPredict(program: Command, actions: Actions): void {
  const command = program
    .command('predict')
    .description(
      'what a model with the head of a task says of texts: labels, tags, answers or embeddings, a line a row',
    )
    .requiredOption('--model <model>', modelHelp)
    .option('--adapter <adapter>', adapterHelp);
  answering(quantizing(addPredictFlags(command))).action((texts: string[], flags: PredictFlags & AnsweringFlags) =>
    actions.predict(texts, flags),
  );
}

function addGenerate(program: Command, actions: Actions): void {
  const command = program
    .command('generate')
    .description('continue a prompt, or several')
    .requiredOption('--model <model>', modelHelp);
  answering(quantizing(addGenerateFlags(command))).action((flags: AnsweringFlags & GenerateFlags) =>
    actions.generate(flags),
  );
}

function addChat(program: Command, actions: Actions): void {
  const command = program
    .command('chat')
    .description(
      'talk with a model in its chat template, and switch between adapters; lines come from the terminal or a pipe',
    )
    .requiredOption('--model <model>', modelHelp);
  answering(quantizing(addChatFlags(command))).action((flags: AnsweringFlags & ChatFlags) => actions.chat(flags));
}

function addMerge(program: Command, actions: Actions): void {
  const command = program
    .command('merge')
    .description('fold an adapter into its model: a Hugging Face folder that needs no adapter')
    .requiredOption('--model <model>', modelHelp)
    .requiredOption('--adapter <adapter>', adapterHelp)
    .requiredOption('--output <folder>', 'where the merged model goes')
    .addHelpText('after', '\nExample:\n  $ lowrank merge --model ./llama --adapter ./adapter --output ./merged');
  common(overwriting(command)).action((flags: MergeFlags) => actions.merge(flags));
}
