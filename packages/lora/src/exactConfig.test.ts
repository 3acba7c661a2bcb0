import { expect, test } from 'vitest';
import { rankAt, scalingAt } from './scaling.js';
import { exactConfig } from './exactConfig.js';

test('each path has its rank and the one factor, whatever other paths end with', () => {
  const layers = new Map([
    ['q', { rank: 2 }],
    ['h.q', { rank: 4 }],
    ['h.1.q', { rank: 3 }],
    ['h.11.q', { rank: 4 }],
  ]);
  const config = exactConfig(layers, 0.5, { dropout: 0.1, baseModel: 'base' });
  expect(config).toMatchObject({
    r: 4,
    alpha: 2,
    dropout: 0.1,
    baseModel: 'base',
    targetModules: ['q', 'h.q', 'h.1.q', 'h.11.q'],
    useRslora: false,
  });
  for (const [path, { rank }] of layers) expect([rankAt(config, path), scalingAt(config, path)]).toEqual([rank, 0.5]);
  expect(rankAt(config, 'h_1.q')).toBe(4);
});
