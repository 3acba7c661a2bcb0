import type { Batches } from '../batches.js';
import { checkBatchSize } from '../batches.js';
import { bucketLength } from '../bucketLength.js';
import { packDocuments } from '../packDocuments.js';
import type { SamplerState } from '../sampler.js';
import { createSampler } from '../sampler.js';
import type { ExampleGroup, PreferenceExample } from './example.js';
import { lengthOf } from './example.js';
import type { PreferenceBatch, PreferenceLayoutOptions } from './preferenceLayout.js';
import { layOutJudged, layOutPairs, nllTokens } from './preferenceLayout.js';

/** How examples become batches: of pairs, of judged rows. */
export type PreferenceKind = 'preference' | 'kto';

/** Options of `preferenceBatches`: how pairs, or judged rows, become micro-batches. */
export interface PreferenceBatchOptions extends Pick<PreferenceLayoutOptions, 'packing' | 'nll' | 'virtualTokens'> {
  readonly kind: PreferenceKind;
  /** Pairs of one micro-batch. Judged rows come in groups of this size already: a group is a micro-batch. */
  readonly batchSize: number;
  /** Micro-batches of one optimizer step. Default 1. */
  readonly gradientAccumulation?: number | undefined;
  readonly shuffle?: boolean | undefined;
  readonly seed?: number | undefined;
  readonly state?: SamplerState | undefined;
  /** Tokens of one packed sequence; pairs with more become several micro-batches. Default 4096, or the longest pair. */
  readonly maxPackedTokens?: number | undefined;
}

/** Examples as `train` takes them: each value holds the micro-batches of one optimizer step. Without end. */
export function preferenceBatches(
  groups: readonly ExampleGroup[],
  options: PreferenceBatchOptions,
): Batches<PreferenceBatch[]> {
  checkBatchSize(options.batchSize);
  const steps = stepsOf(groups, options);
  return {
    next: () => ({ done: false, value: layOutStep(steps.next(), { groups, options }) }),
    get state() {
      return steps.state;
    },
    [Symbol.iterator]() {
      return this;
    },
  };
}

/** Steps and examples that are looked at ahead of a run. */
const farthest = { steps: 10_000, examples: 1_000_000 };

/** The micro-batches of the largest step of a run, as far as it can be looked through. */
export function largestPreferenceBatches(
  groups: readonly ExampleGroup[],
  options: PreferenceBatchOptions & { readonly steps: number },
): PreferenceBatch[] {
  const steps = stepsOf(groups, options);
  let largest: readonly (readonly PreferenceExample[])[] = [];
  let most = 0;
  for (let [step, seen] = [0, 0]; step < Math.min(options.steps, farthest.steps) && seen < farthest.examples; step++) {
    const microBatches = steps.next();
    const size = Math.max(...microBatches.map(positionsOf));
    seen += microBatches.flat().length;
    if (size > most) [largest, most] = [microBatches, size];
  }
  return layOutStep(largest, { groups, options });
}

/** Every example in the order of the first epoch, and how many of them a run of so many steps sees: the first ones. */
export function examplesInOrder(
  groups: readonly ExampleGroup[],
  options: PreferenceBatchOptions & { readonly steps: number },
): { readonly examples: readonly PreferenceExample[]; readonly seen: number } {
  const { gradientAccumulation = 1, shuffle, seed, steps } = options;
  const taken = createSampler({ rows: groups.length, shuffle, seed }).take(groups.length);
  const ordered = taken.map((at) => groups[at] ?? []);
  const count = steps * groupsOfBatch(options) * gradientAccumulation;
  return { examples: ordered.flat(), seen: ordered.slice(0, count).flat().length };
}

/** Every example once, in batches of one shape. */
export function preferenceEvaluationBatches(
  groups: readonly ExampleGroup[],
  options: Pick<PreferenceBatchOptions, 'kind' | 'nll' | 'virtualTokens' | 'maxPackedTokens'>,
): PreferenceBatch[] {
  const { maxPackedTokens = 1024 } = options;
  const all = groups.flat();
  if (options.kind === 'kto') {
    const longest = (which: 0 | 1): number => Math.max(...groups.map((group) => tokensOf(group, which)));
    const [own, other] = [bucketLength(longest(0)), bucketLength(longest(1))];
    const slots = widest(groups);
    const balance = balanceOf(all);
    const layout = { slots, bucket: () => own, otherBucket: () => other };
    return groups.map((group) => ({ ...layOutJudged(group, layout, { balance }), ...unstatedIn(all) }));
  }
  const lengths = all.map(lengthOf);
  const capacity = Math.max(maxPackedTokens, ...lengths);
  const bins = binsOf(all, capacity);
  const length = bucketLength(Math.max(...bins.map(positionsOf)));
  const layout = { ...options, slots: Math.max(...bins.map((bin) => bin.length)), bucket: () => length };
  const share = { perToken: perTokenOf(all, options) };
  return bins.map((bin) => layOutPairs(bin, layout, share));
}

function stepsOf(
  groups: readonly ExampleGroup[],
  options: PreferenceBatchOptions,
): { next(): (readonly PreferenceExample[])[]; readonly state: SamplerState } {
  const { gradientAccumulation = 1, shuffle, seed, state } = options;
  const sampler = createSampler({ rows: groups.length, shuffle, seed, ...(state && { state }) });
  const microBatch = (): PreferenceExample[] => sampler.take(groupsOfBatch(options)).flatMap((at) => groups[at] ?? []);
  return {
    next: () => Array.from({ length: gradientAccumulation }, microBatch),
    get state() {
      return sampler.state;
    },
  };
}

function groupsOfBatch({ kind, batchSize }: Pick<PreferenceBatchOptions, 'kind' | 'batchSize'>): number {
  return kind === 'kto' ? 1 : batchSize;
}

function layOutStep(
  microBatches: readonly (readonly PreferenceExample[])[],
  { groups, options }: { readonly groups: readonly ExampleGroup[]; readonly options: PreferenceBatchOptions },
): PreferenceBatch[] {
  const { kind, batchSize, packing = true, maxPackedTokens = 4096 } = options;
  const all = microBatches.flat();
  if (kind === 'kto') {
    const [balance, layout] = [balanceOf(all), { ...options, slots: widest(groups) }];
    return microBatches.map((part) => ({ ...layOutJudged(part, layout, { balance }), ...unstatedIn(all) }));
  }
  const share = { perToken: perTokenOf(all, options) };
  const parts = packing
    ? microBatches.flatMap((part) => binsOf(part, Math.max(maxPackedTokens, ...part.map(lengthOf))))
    : microBatches;
  return parts.map((part) => layOutPairs(part, { ...options, slots: batchSize }, share));
}

/** Pairs in as few sequences as hold them, in their order where one does. */
function binsOf(pairs: readonly PreferenceExample[], capacity: number): (readonly PreferenceExample[])[] {
  if (positionsOf(pairs) <= capacity) return [pairs];
  return packDocuments(pairs.map(lengthOf), { capacity }).map((bin) =>
    bin.flatMap(({ document }) => pairs[document] ?? []),
  );
}

function perTokenOf(
  pairs: readonly PreferenceExample[],
  options: Pick<PreferenceBatchOptions, 'nll' | 'virtualTokens'>,
): number {
  return pairs.length / pairs.reduce((total, pair) => total + nllTokens(pair, options), 0);
}

/** What makes a difference of two means, one of good rows and one of the others, of a mean over all. */
function balanceOf(examples: readonly PreferenceExample[]): { good: number; other: number } {
  const good = examples.filter(({ isGood }) => isGood).length;
  const other = examples.length - good;
  // Without one of the two there is no difference: see unstatedIn.
  return good === 0 || other === 0
    ? { good: 0, other: 0 }
    : { good: examples.length / good, other: examples.length / other };
}

function unstatedIn(examples: readonly PreferenceExample[]): Pick<PreferenceBatch, 'unstated'> {
  return balanceOf(examples).good === 0 ? { unstated: ['margin'] } : {};
}

function widest(groups: readonly ExampleGroup[]): number {
  return groups.reduce((most, { length }) => Math.max(most, length), 0);
}

function positionsOf(examples: readonly PreferenceExample[]): number {
  return examples.reduce((total, example) => total + lengthOf(example), 0);
}

function tokensOf(examples: readonly PreferenceExample[], which: 0 | 1): number {
  return examples.reduce((total, { documents }) => total + documents[which].ids.length, 0);
}
