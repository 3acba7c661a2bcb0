import { readFileSync } from 'node:fs';
import { Module, Parameter } from '@lowrank/nn';
import { tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { injectSubspace } from './injectSubspace.js';
import type { ProjectionName } from './injectSubspace.js';
import { moved, setZ } from './testing/subspace.js';

interface Golden {
  readonly weights: readonly number[];
  readonly cases: readonly {
    readonly projection: ProjectionName;
    readonly dimension: number;
    readonly entries: number;
    readonly seed: number;
    readonly z: readonly number[];
    readonly moved: readonly number[];
  }[];
}

class Weights extends Module {
  constructor(sizes: readonly number[]) {
    super();
    sizes.forEach((size, at) => this.parameter(`w${at}`, new Parameter(tensor(new Float32Array(size), [size]))));
  }
}

test('P·z is what plain Python draws and torch computes: a file means the same for ever', async () => {
  const { weights, cases } = JSON.parse(
    readFileSync(new URL('../../../parity/golden/subspace.json', import.meta.url), 'utf8'),
  ) as Golden;
  expect(cases).toHaveLength(6);
  for (const { projection, dimension, entries, seed, z, moved: expected } of cases) {
    const subspace = injectSubspace(new Weights(weights), { projection, dimension, entries, seed });
    setZ(subspace, z);
    const found = await moved(subspace);
    expect(found).toHaveLength(expected.length);
    found.forEach((value, at) => expect(Math.abs(value - (expected[at] ?? NaN))).toBeLessThan(1e-6));
  }
});
