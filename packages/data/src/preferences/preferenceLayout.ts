import { bucketLength } from '../bucketLength.js';
import type { EncodedRow } from '../encodeRow.js';
import { ignored } from '../encodeRow.js';
import type { TokenArray, TokenBatch } from '../tokenBatch.js';
import { packBatch, padBatch } from '../tokenBatch.js';
import type { PreferenceExample } from './example.js';

/** Numbers beside the tokens. */
export interface FloatArray {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** What a preference loss reads; see trainer's `DocumentInput` and `JudgedInput`, which say what each is. */
export type PreferenceInputs = Readonly<Record<string, TokenArray | FloatArray>>;

/** A micro-batch of examples, as `train` takes it. */
export interface PreferenceBatch extends Omit<TokenBatch, 'inputs'> {
  readonly inputs: PreferenceInputs;
  /** Measures that the step's rows cannot state. */
  readonly unstated?: readonly string[];
}

export interface PreferenceLayoutOptions {
  /** Slots for examples: as many in every batch, so that one plan serves all. */
  readonly slots: number;
  /** Default true: documents one after another; false: each in a sequence of its own. */
  readonly packing?: boolean | undefined;
  /** On which tokens of the chosen documents the loss adds the cross-entropy. */
  readonly nll?: 'document' | 'completion' | undefined;
  /** Tokens before every document that are none of its text. */
  readonly virtualTokens?: number | undefined;
  readonly bucket?: ((length: number) => number) | undefined;
}

/** What the loss has to know of the whole step, of which a batch is a part. */
export interface StepShare {
  /** Pairs / tokens of the cross-entropy: with it a mean over the step's pairs is one over the step's tokens. */
  readonly perToken: number;
}

/** Documents laid out, and the slot of each one's label positions beside them. */
export function layOutDocuments(
  documents: readonly { readonly row: EncodedRow; readonly slot: number }[],
  { packing = true, bucket = bucketLength }: Pick<PreferenceLayoutOptions, 'packing' | 'bucket'>,
): { readonly tokens: TokenBatch; readonly slots: TokenArray } {
  const layOut = packing ? packBatch : padBatch;
  const labelled = documents.map(({ row, slot }) => ({ ...row, labels: marked(row, slot) }));
  const tokens = layOut(
    documents.map(({ row }) => row),
    { bucket },
  );
  return { tokens, slots: layOut(labelled, { bucket }).inputs.labels };
}

/** A number where a row has a label. */
function marked({ labels }: EncodedRow, mark: number): Int32Array {
  return labels.map((label) => (label === ignored ? ignored : mark));
}

/** Pairs: the first slots are the chosen documents, the others the rejected ones. */
export function layOutPairs(
  examples: readonly PreferenceExample[],
  options: PreferenceLayoutOptions,
  { perToken }: StepShare,
): PreferenceBatch {
  const { slots, nll, virtualTokens = 0 } = options;
  const documents = examples.flatMap(({ documents: [chosen, rejected] }, at) => [
    { row: chosen, slot: at },
    { row: rejected, slot: slots + at },
  ]);
  const { tokens, slots: own } = layOutDocuments(documents, options);
  const { labels } = tokens.inputs;
  const added = nll === undefined ? undefined : chosenTokens(documents, { ...options, nll, virtualTokens });
  const factors = added && {
    data: Float32Array.from(added.data, (label) => (label === ignored ? 0 : perToken)),
    shape: labels.shape,
  };
  const both = (of: (row: EncodedRow) => number): FloatArray => bySlot(documents, 2 * slots, ({ row }) => of(row));
  return {
    ...tokens,
    inputs: {
      ...tokens.inputs,
      // The cross-entropy is also of labels that are in no completion.
      labels: { ...labels, data: labels.data.map((label, at) => Math.max(label, added?.data[at] ?? ignored)) },
      documents: own,
      ...slotInputs(examples.length, slots, 2 * slots),
      lengths: both(({ labelTokens }) => labelTokens),
      ...referenceOf(examples, slots),
      ...(factors && { nll: factors }),
    },
    weight: examples.length,
    rows: examples.length,
  };
}

/** The labels of chosen documents that the cross-entropy is of. */
function chosenTokens(
  documents: readonly { readonly row: EncodedRow; readonly slot: number }[],
  options: PreferenceLayoutOptions & { readonly nll: 'document' | 'completion'; readonly virtualTokens: number },
): TokenArray {
  const { nll, virtualTokens, slots } = options;
  const labelled = documents.map(({ row, slot }) => {
    const labels = nll === 'completion' ? row.labels : row.ids.map((id, at) => (at > virtualTokens ? id : ignored));
    return { row: { ...row, labels: slot < slots ? labels : marked(row, ignored) }, slot };
  });
  return layOutDocuments(labelled, options).tokens.inputs.labels;
}

/** Tokens that {@link chosenTokens} finds. */
export function nllTokens(
  { documents: [chosen] }: PreferenceExample,
  { nll, virtualTokens = 0 }: Pick<PreferenceLayoutOptions, 'nll' | 'virtualTokens'>,
): number {
  return nll === 'document' ? chosen.ids.length - 1 - virtualTokens : chosen.labelTokens;
}

/** Judged rows: their own documents, and as many with the completion of another row. */
export function layOutJudged(
  examples: readonly PreferenceExample[],
  {
    slots,
    packing,
    bucket,
    otherBucket,
  }: PreferenceLayoutOptions & { readonly otherBucket?: (length: number) => number },
  { balance }: { readonly balance: { readonly good: number; readonly other: number } },
): PreferenceBatch {
  const side = (which: 0 | 1): { row: EncodedRow; slot: number }[] =>
    examples.map(({ documents }, slot) => ({ row: documents[which], slot }));
  const own = layOutDocuments(side(0), { packing, bucket });
  const others = layOutDocuments(side(1), { packing, bucket: otherBucket ?? bucket });
  const { ids, labels, positions, segments } = others.tokens.inputs;
  const floats = (of: (example: PreferenceExample) => number): FloatArray => floatsOf(slots, examples.map(of));
  const withReference = examples.some(({ reference }) => reference !== undefined);
  return {
    ...own.tokens,
    inputs: {
      ...own.tokens.inputs,
      documents: own.slots,
      ...slotInputs(examples.length, slots, slots),
      signs: floats(({ isGood = false }) => (isGood ? 1 : -1)),
      balance: floats(({ isGood = false }) => (isGood ? balance.good : -balance.other)),
      mismatchedIds: ids,
      mismatchedLabels: labels,
      mismatchedPositions: positions,
      mismatchedSegments: segments,
      mismatchedDocuments: others.slots,
      ...(withReference && {
        reference: floats(({ reference }) => reference?.[0] ?? NaN),
        mismatchedReference: floats(({ reference }) => reference?.[1] ?? NaN),
      }),
    },
    weight: examples.length,
    rows: examples.length,
    tokens: own.tokens.tokens + others.tokens.tokens,
  };
}

function slotInputs(filled: number, examples: number, documents: number): Record<'weights' | 'slots', FloatArray> {
  return {
    weights: floatsOf(
      examples,
      Array.from({ length: filled }, () => 1),
    ),
    slots: floatsOf(
      documents,
      Array.from({ length: documents }, (_, at) => at),
    ),
  };
}

function referenceOf(examples: readonly PreferenceExample[], slots: number): { reference?: FloatArray } {
  if (examples.every(({ reference }) => reference === undefined)) return {};
  const data = new Float32Array(2 * slots);
  for (const [at, { reference }] of examples.entries()) {
    data[at] = reference?.[0] ?? NaN;
    data[slots + at] = reference?.[1] ?? NaN;
  }
  return { reference: { data, shape: [2 * slots] } };
}

function bySlot<Item extends { readonly slot: number }>(
  items: readonly Item[],
  slots: number,
  of: (item: Item) => number,
): FloatArray {
  const data = new Float32Array(slots);
  for (const item of items) data[item.slot] = of(item);
  return { data, shape: [slots] };
}

/** Numbers in the first of `slots` slots; 0 in the others. */
export function floatsOf(slots: number, values: readonly number[]): FloatArray {
  const data = new Float32Array(slots);
  data.set(values);
  return { data, shape: [slots] };
}
