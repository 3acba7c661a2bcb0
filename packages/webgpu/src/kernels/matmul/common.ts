import type { Shader } from '../../shader.js';
import type { Slice } from '../../kernel.js';
import type { TablePlace } from './codes.js';
import { codesOf, unpacking } from './operands.js';
import { bindPhases } from './phases.js';
import type { Phase } from './phases.js';
import { partLength } from './product.js';
import type { ProductChoice } from '../../choices.js';
import type { Product } from './product.js';
import { bindTarget } from './target.js';
import type { OutputTile } from './target.js';

export interface Bound {
  readonly shader: Shader;
  readonly phases: readonly Phase[];
  readonly target: OutputTile;
  /** WGSL at module scope: what reading the operands takes. */
  readonly declarations: string;
  /** WGSL that must stand at the top of main: batch and part from the z index. */
  readonly head: string;
  /** WGSL that follows it, before any thread leaves: what codes need. `lane` is the local invocation index. */
  readonly fill: string;
}

/** Binds everything a product reads and writes. */
export function bindProduct(
  shader: Shader,
  product: Product,
  choice: ProductChoice,
  { workspace, table }: { workspace: Slice | undefined; table: TablePlace },
): Bound {
  const { m, n, k, lowRank, batch, further } = product;
  const split = choice.splits > 1;
  const phases = bindPhases(shader, product, { table, split });
  const target = bindTarget(shader, product, { workspace, split });
  const matrices = phases.flatMap(({ left, right, beside }) => [
    left,
    right,
    ...(beside === undefined ? [] : [beside]),
  ]);
  const sizes: readonly (readonly [string, number])[] = [
    ['M', m],
    ['N', n],
    ['K', k],
    ['R', lowRank?.rank ?? 0],
    ['BATCH', batch],
    ['KPART', partLength(k, choice)],
    ...further.flatMap((factors, at): [string, number][] => [
      [`K${at + 1}`, factors.k],
      [`R${at + 1}`, factors.lowRank?.rank ?? 0],
    ]),
  ];
  const head = `${sizes.map(([name, value]) => `let ${name} = ${shader.size(name, value)};`).join(' ')}
  let batch = ${batch === 1 ? '0u' : 'wid.z % BATCH'}; let part = ${split ? 'wid.z / BATCH' : '0u'};`;
  return {
    shader,
    phases,
    target,
    declarations: unpacking(matrices),
    head,
    fill: matrices.map((matrix) => codesOf(matrix)?.fill('lane') ?? '').join(''),
  };
}
