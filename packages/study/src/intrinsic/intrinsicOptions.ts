import { LowrankError } from '@lowrank/errors';
import type { ProjectionName } from '@lowrank/methods';
import type { Candidate } from '../candidates.js';
import type { RateSearchOptions } from '../rateSearch.js';
import { checkCount } from '../studyOptions.js';

export interface IntrinsicOptions extends RateSearchOptions {
  /** Numbers of trained parameters to try, in any order. */
  readonly dimensions: readonly number[];
  readonly projection?: ProjectionName | undefined;
  readonly entries?: number | undefined;
  readonly structureAware?: boolean | undefined;
  /** Learning rates to choose from, for each dimension by itself. Default: 3e-4, 1e-3, 3e-3. */
  readonly learningRates?: readonly number[] | undefined;
  /** For full fine-tuning. Default: 3e-4, 1e-3. */
  readonly fullLearningRates?: readonly number[] | undefined;
}

const defaultRates = { subspace: [3e-4, 1e-3, 3e-3], full: [3e-4, 1e-3] };

/** What is measured: the base model, full fine-tuning, or training within a subspace. */
export interface Subject extends Candidate {
  readonly method: 'base' | 'full' | 'subspace';
  readonly dimension: number | null;
}

/** @throws LowrankError `study.dimensions`, `cli.number` */
export function checkDimensions(dimensions: readonly number[]): void {
  for (const dimension of dimensions) checkCount('--dimensions', dimension);
  if (dimensions.length === 0)
    throw new LowrankError({
      code: 'study.dimensions',
      what: 'the dimensions to try',
      expected: 'at least one',
      got: 'none',
    });
}

/** The base model, full fine-tuning, and the subspaces in growing order. */
export function subjectsOf(options: IntrinsicOptions): Subject[] {
  const dimensions = [...new Set(options.dimensions)].sort((a, b) => a - b);
  return [baseSubject(options), fullSubject(options), ...dimensions.map((each) => subspaceSubject(each, options))];
}

/**
 * The base model is a subspace of one dimension that is not moved: trained for one step at a rate of 0, once, since no
 * seed changes it.
 */
function baseSubject({ training }: IntrinsicOptions): Subject {
  return {
    label: 'base',
    method: 'base',
    dimension: null,
    training: { ...training, method: 'subspace', dimension: 1, steps: 1, warmup: 0 },
    rates: [0],
    seeds: 1,
    runLabel: () => 'base',
  };
}

function fullSubject({ training, fullLearningRates, seeds = 1 }: IntrinsicOptions): Subject {
  return {
    label: 'full',
    method: 'full',
    dimension: null,
    training: { ...training, method: 'full' },
    rates: [...new Set(fullLearningRates ?? defaultRates.full)],
    seeds,
    runLabel: (rate) => `full, learning rate ${rate}`,
  };
}

function subspaceSubject(
  dimension: number,
  { training, projection = 'sparse', entries, structureAware, learningRates, seeds = 1 }: IntrinsicOptions,
): Subject {
  const label = `d = ${dimension.toLocaleString('en')}`;
  return {
    label,
    method: 'subspace',
    dimension,
    training: {
      ...training,
      method: 'subspace',
      projection,
      entries,
      structureAware: structureAware === true ? true : undefined,
      dimension,
    },
    rates: [...new Set(learningRates ?? defaultRates.subspace)],
    seeds,
    runLabel: (rate) => `${label}, learning rate ${rate}`,
  };
}
