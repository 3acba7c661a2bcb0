import { LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';

/** How the keys and values of what was read are kept while texts are written. */
export const kvCaches = ['f32', 'f16'] as const;
/** How the keys and values of what was read are kept while texts are written: a name of `kvCaches`. */
export type KvCache = (typeof kvCaches)[number];

/**
 * What a cache is kept in: what is asked for, else f16 on a backend of mixed precision, which rounds operands to it
 * anyway, and where a place has an odd number of elements f32.
 *
 * @throws LowrankError `models.kvCache` for f16 where two elements of different places would share a word
 */
export function kvCacheFor(
  asked: KvCache | undefined,
  { spec }: Pick<Backend, 'spec'>,
  { keyHeads, headSize }: { readonly keyHeads: number; readonly headSize: number },
): KvCache {
  const even = (keyHeads * headSize) % 2 === 0;
  if (asked === undefined) return spec.precision === 'mixed' && even ? 'f16' : 'f32';
  if (asked === 'f32' || even) return asked;
  throw new LowrankError({
    code: 'models.kvCache',
    what: 'a cache in f16',
    expected: 'key heads times head size even',
    got: `${keyHeads} times ${headSize}`,
    remedy: 'Keep the cache in f32.',
  });
}
