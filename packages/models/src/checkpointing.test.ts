import { withCheckpointing } from '@lowrank/nn';
import type { Plan } from '@lowrank/tensor/backend';
import { grad } from '@lowrank/tensor';
import { planFunction } from '@lowrank/tensor/backend';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openFolder, readJson } from './files.js';
import { outlineModel } from './outline.js';

const families = fileURLToPath(new URL('../../../parity/golden/families/', import.meta.url));

const folders = readdirSync(families, { withFileTypes: true }).filter((entry) => entry.isDirectory());

test.each(folders.map(({ name }) => name))(
  '%s: each layer is computed twice where checkpointing is asked for',
  async (family) => {
    const config = await readJson(await openFolder(`${families}${family}`), 'config.json');
    const planOf = (checkpointing: boolean | number): Plan => {
      const model = outlineModel(config);
      const weights = [...model.namedParameters()].map(([, { tensor }]) => tensor);
      const row = { shape: [2, 24], dtype: 'i32' as const };
      return planFunction(
        ({ ids, labels, positions, segments }) => {
          if (ids === undefined || labels === undefined || positions === undefined || segments === undefined)
            throw new TypeError('a batch');
          const loss = withCheckpointing(checkpointing, () => model.loss({ ids, labels, positions, segments }));
          return Object.fromEntries(grad(loss, weights).map((gradient, at) => [String(at), gradient]));
        },
        { ids: row, labels: row, positions: row, segments: { shape: [2, 24, 2], dtype: 'i32' } },
        new ReferenceBackend().spec,
      );
    };
    const count = ({ steps }: Plan, op: string): number => steps.filter((step) => step.op === op).length;
    const [plain, twice] = [planOf(false), planOf(true)];
    const { layers } = outlineModel(config).shape;
    expect([count(plain, 'attention'), count(twice, 'attention')]).toEqual([layers, 2 * layers]);
    expect(count(twice, 'attentionBackward')).toBe(layers);
    expect(count(planOf(1), 'attention')).toBe(layers + 1);
    expect(plain.steps.some(({ scope }) => scope.includes('(recomputed)'))).toBe(false);
    expect(twice.steps.filter(({ op, scope }) => op === 'attention' && scope.includes('(recomputed)')).length).toBe(
      layers,
    );
  },
);
