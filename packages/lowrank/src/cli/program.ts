import { optimizers, schedules } from '@lowrank/trainer';
import { Command } from 'commander';
import { devices } from '../device.js';
import type { DeviceName } from '../device.js';
import { methods } from '../jobs/fineTuneFlags.js';
import { version } from '../../package.json';
import type { MethodFlags } from '../jobs/trainMethod.js';
import { quantizationTypes } from '../jobs/quantization.js';
import type { QuantizationFlags } from '../jobs/quantization.js';
import type { SubspaceFlags } from '../jobs/subspace.js';
import type { VariantFlags } from '../jobs/variantFlags.js';
import { addCombineFlags } from './combineCommand.js';
import type { CombineFlags } from './combineCommand.js';
import { addConvertFlags } from './convertCommand.js';
import type { ConvertFlags } from './convertCommand.js';
import { addChatFlags } from './chatCommand.js';
import type { ChatFlags } from './chatCommand.js';
import { addGenerateFlags } from './generateCommand.js';
import type { GenerateFlags } from './generateCommand.js';
import { addInspectFlags } from './inspectCommand.js';
import type { InspectFlags } from './inspectCommand.js';
import { addMethodFlags } from './methodFlags.js';
import { choiceFlag, listFlag, numberFlag } from './numbers.js';
import { addPlanFlags } from './planCommand.js';
import type { PlanFlags } from './planCommand.js';
import { addQuantizeFlags } from './quantizeCommand.js';
import type { QuantizeFlags } from './quantizeCommand.js';
import { addSpectrumFlags } from './spectrumCommand.js';
import type { SpectrumFlags } from './spectrumCommand.js';
import { addSubspaceFlags } from './subspaceFlags.js';
import { addVariantFlags } from './variantFlags.js';

/** Flags of every command. */
export interface CommonFlags {
  device: DeviceName;
  json: boolean;
}

export interface TrainFlags extends CommonFlags, QuantizationFlags, VariantFlags, MethodFlags, SubspaceFlags {
  model: string;
  data: string;
  template?: string;
  output: string;
  evalData?: string;
  method: (typeof methods)[number];
  steps?: number;
  batchSize: number;
  gradientAccumulation: number;
  learningRate: number;
  optimizer: (typeof optimizers)[number];
  schedule: (typeof schedules)[number];
  warmup: number;
  weightDecay: number;
  clip: number;
  r?: number;
  alpha?: number;
  dropout?: number;
  targetModules?: string[];
  maxLength?: number;
  seed: number;
  shuffle: boolean;
  packing: boolean;
  checkpointing?: boolean;
  initAdapter?: string;
}

export interface EvalFlags extends CommonFlags, QuantizationFlags {
  model: string;
  adapter?: string;
  data: string;
  template?: string;
  maxLength?: number;
}

export interface MergeFlags extends CommonFlags {
  model: string;
  adapter: string;
  output: string;
}

/** What each command does with its flags. */
export interface Actions {
  train(flags: TrainFlags): Promise<void>;
  eval(flags: EvalFlags): Promise<void>;
  generate(flags: CommonFlags & GenerateFlags): Promise<void>;
  chat(flags: CommonFlags & ChatFlags): Promise<void>;
  merge(flags: MergeFlags): Promise<void>;
  combine(flags: CombineFlags): Promise<void>;
  inspect(flags: InspectFlags): Promise<void>;
  spectrum(flags: SpectrumFlags): Promise<void>;
  convert(flags: ConvertFlags): Promise<void>;
  plan(flags: PlanFlags): Promise<void>;
  quantize(flags: QuantizeFlags): Promise<void>;
  doctor(flags: CommonFlags): Promise<void>;
}

/** The command line: names, flags, defaults and help. What the commands do is handed in. */
export function makeProgram(actions: Actions): Command {
  const program = new Command('lowrank')
    .description('Fine-tune language models with LoRA on any GPU that WebGPU reaches, or on the CPU.')
    .version(version)
    .helpCommand(false)
    .addHelpText('after', '\nExample:\n  $ lowrank train --model ./llama --data rows.jsonl --output ./adapter --steps 200\n\n`lowrank COMMAND --help` tells the flags of a command.');
  addTrain(program, actions);
  addEval(program, actions);
  addGenerate(program, actions);
  addChat(program, actions);
  addMerge(program, actions);
  addCombineFlags(program.command('combine')).action((flags: CombineFlags) => actions.combine(flags));
  addInspectFlags(program.command('inspect')).action((flags: InspectFlags) => actions.inspect(flags));
  addSpectrumFlags(program.command('spectrum')).action((flags: SpectrumFlags) => actions.spectrum(flags));
  addConvertFlags(program.command('convert')).option('--json', jsonHelp, false).action((flags: ConvertFlags) => actions.convert(flags));
  common(quantizing(addPlanFlags(program.command('plan')))).action((flags: PlanFlags) => actions.plan(flags));
  addQuantizeFlags(program.command('quantize')).action((flags: QuantizeFlags) => actions.quantize(flags));
  common(program.command('doctor').description('tell which devices there are, what they can do, and what to install')).action((flags: CommonFlags) => actions.doctor(flags));
  return program;
}

const jsonHelp = 'JSON lines on stdout, the result last; sentences go to stderr';
const modelHelp = 'Hugging Face folder, hub id (owner/name or owner/name@revision) or URL';
const adapterHelp = 'PEFT adapter: folder, hub id or URL';

function quantizing(command: Command): Command {
  return command
    .option('--quantization <type>', `${quantizationTypes.join(', ')}: quantize linear layers while they load (default: as they are stored)`, choiceFlag('--quantization', quantizationTypes))
    .option('--double-quantization', 'quantize the scales of 4-bit blocks too');
}

function common(command: Command): Command {
  return command
    .option('--device <name>', `${devices.join(', ')}; auto takes a real GPU if there is one, else the CPU`, choiceFlag('--device', devices), 'auto')
    .option('--json', jsonHelp, false);
}

const whole = (flag: string, min: number): ((text: string) => number) => numberFlag(flag, { whole: true, min });
const atLeastZero = (flag: string): ((text: string) => number) => numberFlag(flag, { min: 0 });

function addTrain(program: Command, actions: Actions): void {
  const command = program.command('train').description('fine-tune a model on rows of text, and save a PEFT adapter (or, with --method full, the model)');
  command
    .requiredOption('--model <model>', `${modelHelp}: config.json, model.safetensors, tokenizer.json`)
    .requiredOption('--data <file>', 'JSONL rows: {"prompt", "completion"}, {"text"} or {"messages"}')
    .option('--template <file>', "chat template in Jinja for rows of messages (default: the model's)")
    .requiredOption('--output <folder>', 'where the adapter and metrics.jsonl go')
    .option('--eval-data <file>', 'rows whose loss is told at the end')
    .option('--method <name>', `${methods.join(', ')}: LoRA, every weight, biases, vectors before the text, keys and values before it, bottleneck adapters, every weight within a random subspace`, choiceFlag('--method', methods), 'lora')
    .option('--steps <n>', 'optimizer steps (default: once through the data)', whole('--steps', 1))
    .option('--batch-size <rows>', 'rows of a batch', whole('--batch-size', 1), 8)
    .option('--gradient-accumulation <n>', 'batches of a step', whole('--gradient-accumulation', 1), 1)
    .option('--learning-rate <x>', 'peak learning rate of AdamW', atLeastZero('--learning-rate'), 2e-4)
    .option('--optimizer <name>', `${optimizers.join(' or ')}: moments in 32 bits, or in 8`, choiceFlag('--optimizer', optimizers), 'adamw')
    .option('--schedule <name>', `${schedules.join(', ')}, after the warmup`, choiceFlag('--schedule', schedules), 'constant')
    .option('--warmup <steps>', 'steps over which the rate rises from 0', whole('--warmup', 0), 0)
    .option('--weight-decay <x>', 'decoupled weight decay', atLeastZero('--weight-decay'), 0)
    .option('--clip <norm>', 'largest gradient norm; 0 for no limit', atLeastZero('--clip'), 1)
    .option('--r <rank>', 'rank of the adapters (default: 8)', whole('--r', 1))
    .option('--alpha <x>', 'the adapters count alpha/r times (default: r)', numberFlag('--alpha', { above: 0 }))
    .option('--dropout <rate>', 'dropout before the adapters (default: 0)', numberFlag('--dropout', { min: 0, below: 1 }))
    .option('--target-modules <names>', "layers that get adapters: a,b or all-linear (default: PEFT's for the model)", listFlag('--target-modules'))
    .option('--max-length <tokens>', "tokens kept of a row (default: the model's context)", whole('--max-length', 2))
    .option('--seed <n>', 'of shuffling, dropout and initial adapters', whole('--seed', 0), 0)
    .option('--no-shuffle', 'take rows in file order, wrapping')
    .option('--no-packing', 'pad rows to one length instead of laying them one after another')
    .option('--checkpointing', 'compute each layer again in the backward pass: less memory, more time, the same numbers')
    .option('--init-adapter <adapter>', 'go on from this PEFT adapter; its rank, alpha and targets hold')
    .addHelpText('after', "\nExample:\n  $ lowrank train --model ./llama --data rows.jsonl --output ./adapter --steps 200 --batch-size 8 --learning-rate 2e-4 \\\n      --r 8 --alpha 16 --target-modules all-linear\n\nCtrl-C finishes the step, saves, and ends with exit code 130.");
  common(quantizing(addSubspaceFlags(addMethodFlags(addVariantFlags(command))))).action((flags: TrainFlags) => actions.train(flags));
}

function addEval(program: Command, actions: Actions): void {
  const command = program
    .command('eval')
    .description('the loss of a model, with or without an adapter, over all label tokens of rows')
    .requiredOption('--model <model>', modelHelp)
    .option('--adapter <adapter>', adapterHelp)
    .requiredOption('--data <file>', 'JSONL rows')
    .option('--template <file>', "chat template in Jinja for rows of messages (default: the model's)")
    .option('--max-length <tokens>', "tokens kept of a row (default: the model's context)", whole('--max-length', 2))
    .addHelpText('after', '\nExample:\n  $ lowrank eval --model ./llama --adapter ./adapter --data heldOut.jsonl --json');
  common(quantizing(command)).action((flags: EvalFlags) => actions.eval(flags));
}

function addGenerate(program: Command, actions: Actions): void {
  const command = program.command('generate').description('continue a prompt, or several').requiredOption('--model <model>', modelHelp).option('--adapter <adapter>', adapterHelp);
  common(quantizing(addGenerateFlags(command))).action((flags: CommonFlags & GenerateFlags) => actions.generate(flags));
}

function addChat(program: Command, actions: Actions): void {
  const command = program.command('chat').description("talk with a model in its chat template, and switch between adapters; lines come from the terminal or a pipe").requiredOption('--model <model>', modelHelp);
  common(quantizing(addChatFlags(command))).action((flags: CommonFlags & ChatFlags) => actions.chat(flags));
}

function addMerge(program: Command, actions: Actions): void {
  const command = program
    .command('merge')
    .description('fold an adapter into its model: a Hugging Face folder that needs no adapter')
    .requiredOption('--model <model>', modelHelp)
    .requiredOption('--adapter <adapter>', adapterHelp)
    .requiredOption('--output <folder>', 'where the merged model goes')
    .addHelpText('after', '\nExample:\n  $ lowrank merge --model ./llama --adapter ./adapter --output ./merged');
  common(command).action((flags: MergeFlags) => actions.merge(flags));
}
