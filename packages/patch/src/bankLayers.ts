import { LowrankError } from '@lowrank/errors';
import type { BankEntry, BankMix, LoraAdapter, LoraConfig, LoraMatrices, WholeTensor } from '@lowrank/lora';
import {
  bankEntry,
  bankRank,
  fitsBank,
  LoraBankEmbedding,
  LoraBankLayer,
  LoraBankLinear,
  LoraEmbedding,
  LoraLayer,
  LoraLinear,
  TokenRows,
  variantOf,
} from '@lowrank/lora';
import type { Module } from '@lowrank/nn';
import { Embedding, isLinearLike } from '@lowrank/nn';
import { fromNumbers, readTensor, toFloat32 } from '@lowrank/tensor';
import { streamOf } from './adaptedLayers.js';
import { numbersOf, placeOf } from './savedWhole.js';
import { matchLoaded, matchTargets } from './targets.js';

/** Options of `openAdapterBank`. */
export interface AdapterBankOptions {
  /** Adapters that can be loaded at a time. */
  readonly slots: number;
  /**
   * The largest rank; smaller ones are filled up with zeros. Adapters that began as a part of W and were not converted
   * (PiSSA, OLoRA) need twice their own.
   */
  readonly rank: number;
  /** Rows of a batch that may use different adapters. Default 1: all rows use the same, whatever the batch. */
  readonly rows?: number | undefined;
  /** The layers that adapters may have; by PEFT's rules. Default 'all-linear'. */
  readonly targetModules?: readonly string[] | string | undefined;
  readonly excludeModules?: readonly string[] | string | undefined;
  /** Take adapters with `lora_bias` too. */
  readonly loraBias?: boolean | undefined;
  /**
   * Take adapters with `use_dora` too, and of variants that are a factor as DoRA is: a little slower for all, since the
   * base's product is used twice.
   */
  readonly useDora?: boolean | undefined;
}

/**
 * A layer of a bank, with an adapted layer around the same base, outside the model, that computes an adapter's numbers.
 */
interface BankPlace {
  readonly layer: LoraBankLayer;
  readonly probe: LoraLayer;
}

/** The layers of a bank by the path of the layer they replace. */
export type BankLayers = ReadonlyMap<string, BankPlace>;

export function wrapInBank(
  model: Module,
  mix: BankMix,
  { targetModules = 'all-linear', excludeModules, loraBias, useDora }: AdapterBankOptions,
): BankLayers {
  const adapted = [...model.namedModules()].find(
    ([, module]) => module instanceof LoraLayer || module instanceof LoraBankLayer || module instanceof TokenRows,
  );
  if (adapted !== undefined)
    throw new LowrankError({
      code: 'patch.bank',
      what: `a bank of adapters around ${adapted[0]}`,
      expected: 'a layer of the model itself',
      got:
        adapted[1] instanceof LoraLayer && adapted[1].merged.length > 0
          ? 'one with merged adapters'
          : 'one with adapters around it',
      remedy:
        'Remove them first (removeAdapter), after unmergeAdapter where they are merged, or dispose of the ' +
        'other bank.',
    });
  const places = new Map<string, BankPlace>();
  for (const [path, base] of matchTargets(model, { targetModules, excludeModules })) {
    if (path === model.outputPath)
      throw new LowrankError({
        code: 'patch.bank',
        what: `a bank of adapters around ${path}`,
        expected: 'layers below the output projection',
        got: 'the output projection',
        remedy: 'Leave it out of the target modules.',
      });
    const abilities = { loraBias: loraBias === true && !(base instanceof Embedding), factors: useDora };
    if (base instanceof Embedding)
      places.set(path, {
        layer: new LoraBankEmbedding(base, mix, abilities),
        probe: new LoraEmbedding(base, streamOf(path)),
      });
    else if (isLinearLike(base))
      places.set(path, {
        layer: new LoraBankLinear(base, mix, abilities),
        probe: new LoraLinear(base, streamOf(path)),
      });
  }
  for (const [path, { layer }] of places) model.setModule(path, layer);
  return places;
}

interface Bank extends Pick<AdapterBankOptions, 'rank' | 'loraBias' | 'useDora'> {
  readonly layers: BankLayers;
}

/**
 * What no bank could hold of an adapter, whatever its sizes: modules saved whole, token rows, variants that are no
 * factor, LoRA on the output projection, and trained values of the base that would become every adapter's. Empty where
 * `bankFor` makes room.
 */
export async function bankObstacles(model: Module, { config, layers, whole }: LoraAdapter): Promise<string[]> {
  const problems = settingsProblems(config, { loraBias: true, useDora: true });
  const { outputPath } = model;
  if (outputPath !== undefined && layers.has(outputPath)) problems.push(`${outputPath}: the output projection`);
  return [...problems, ...(await wholeProblems(model, whole))];
}

/** @throws LowrankError `patch.bank` with everything that keeps an adapter out of a bank */
export async function checkBankFit(model: Module, adapter: LoraAdapter, bank: Bank): Promise<void> {
  const { config, layers, whole } = adapter;
  const problems = settingsProblems(config, bank);
  for (const path of targetsOf(model, config, bank))
    if (!layers.has(path)) problems.push(`${path}: in target_modules, but without matrices`);
  for (const [path, matrices] of layers)
    problems.push(...layerProblems(path, matrices, { config, bank }).map((problem) => `${path}: ${problem}`));
  problems.push(...(await wholeProblems(model, whole)));
  if (problems.length === 0) return;
  const shown = problems.slice(0, 6).join('; ');
  throw new LowrankError({
    code: 'patch.bank',
    what: 'the adapter',
    expected: 'one that the bank has room for',
    got: problems.length > 6 ? `${shown}; and ${problems.length - 6} more` : shown,
    remedy:
      'Open the bank for it (bankFor(adapters) returns its settings), or load the adapter into a model of its own.',
  });
}

async function wholeProblems(model: Module, whole: LoraAdapter['whole'] = new Map()): Promise<string[]> {
  const problems: string[] = [];
  for (const [name, value] of whole)
    if (!(await isModelsOwn(model, name, value)))
      problems.push(`${name}: saved whole, and not what the model has; it would be every adapter's`);
  return problems;
}

function settingsProblems(
  config: LoraConfig,
  { loraBias = false, useDora = false }: Pick<Bank, 'loraBias' | 'useDora'>,
): string[] {
  const problems: string[] = [];
  if (config.modulesToSave !== undefined) problems.push(`modules saved whole (${config.modulesToSave.join(', ')})`);
  if (config.trainableTokenIndices !== undefined) problems.push('trained token rows');
  if (!fitsBank(config))
    problems.push('its variant of LoRA is not a factor on W + ΔW, or began as a part of W besides');
  else if (variantOf(config).factor !== undefined && !useDora)
    problems.push(
      `${config.variant === undefined ? 'use_dora' : `the variant ${config.variant.name}`}, and the bank was ` +
        'opened without useDora',
    );
  if (config.loraBias === true && !loraBias) problems.push('lora_bias, and the bank was opened without');
  return problems;
}

function layerProblems(
  path: string,
  matrices: LoraMatrices,
  { config, bank: { layers, rank } }: { config: LoraConfig; bank: Bank },
): string[] {
  const { embedding = false, inFeatures, outFeatures, a, b, bias, vector } = matrices;
  const probe = layers.get(path)?.probe;
  if (probe === undefined) return ['no layer of the bank'];
  if (embedding !== probe.embedding) return [`made for ${embedding ? 'an embedding' : 'a linear layer'}`];
  if (inFeatures !== probe.inFeatures || outFeatures !== probe.outFeatures)
    return [`made for ${inFeatures} → ${outFeatures}, the layer is ${probe.inFeatures} → ${probe.outFeatures}`];
  const own = bankRank(matrices, config);
  if (own > rank)
    return [
      `rank ${own}${own === matrices.rank ? '' : ` (twice ${matrices.rank}, as it began as a part of W)`}, ` +
        `the bank has ${rank}`,
    ];
  return [a, b, bias, vector].some((values) => values?.some((value) => !Number.isFinite(value)) === true)
    ? ['numbers that are not finite']
    : [];
}

/** The layers that a configuration names, in the model as it is without the bank. */
function targetsOf(model: Module, config: LoraConfig, { layers }: Bank): string[] {
  for (const [path, { layer }] of layers) model.setModule(path, layer.base);
  try {
    return [...matchLoaded(model, config).keys()];
  } finally {
    for (const [path, { layer }] of layers) model.setModule(path, layer);
  }
}

/**
 * Whether a tensor that was saved whole (an adapted embedding's table, a bias) is the one that the model has, in the
 * model's dtype.
 */
async function isModelsOwn(model: Module, name: string, saved: WholeTensor): Promise<boolean> {
  const own = placeOf(model, name)?.tensor;
  const values = numbersOf(saved);
  if (own === undefined || values === undefined || own.shape.join() !== saved.shape.join()) return false;
  const wanted = toFloat32(fromNumbers(values, own.dtype), own.dtype);
  const have = toFloat32(await readTensor(own), own.dtype);
  return have.every((value, at) => value === wanted[at]);
}

/** An adapter's layers as slots hold them, one after the other: each may compute something on the device. */
export async function entriesOf(
  { config, layers }: LoraAdapter,
  bank: BankLayers,
  rank: number,
): Promise<Map<string, BankEntry>> {
  const entries = new Map<string, BankEntry>();
  for (const [path, matrices] of layers) {
    const probe = bank.get(path)?.probe;
    if (probe !== undefined) entries.set(path, await bankEntry(probe, matrices, { config, path, rank }));
  }
  return entries;
}
