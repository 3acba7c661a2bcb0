import { describe, expect, it } from 'vitest';
import { createSampler } from './sampler.js';
import { complaint } from './testing.js';

describe('createSampler', () => {
  it('without shuffling takes rows in order and wraps within a batch', () => {
    const sampler = createSampler({ rows: 5, shuffle: false });
    expect([sampler.take(3), sampler.take(3), sampler.take(3)]).toEqual([
      [0, 1, 2],
      [3, 4, 0],
      [1, 2, 3],
    ]);
    expect(sampler.state).toEqual({ epoch: 1, position: 4 });
  });

  it('takes more rows than there are', () => {
    expect(createSampler({ rows: 2, shuffle: false }).take(5)).toEqual([0, 1, 0, 1, 0]);
  });

  it('has every row once in an epoch, in another order each time', () => {
    const sampler = createSampler({ rows: 100, seed: 7 });
    const epochs = [sampler.take(100), sampler.take(100)];
    for (const epoch of epochs)
      expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect(createSampler({ rows: 100, seed: 7 }).take(200)).toEqual(epochs.flat());
    expect(createSampler({ rows: 100, seed: 8 }).take(200)).not.toEqual(epochs.flat());
  });

  it.each([true, false])('goes on from a saved state at any point, shuffled: %s', (shuffle) => {
    const whole = createSampler({ rows: 7, seed: 1, shuffle }).take(40);
    for (let cut = 0; cut <= 21; cut++) {
      const before = createSampler({ rows: 7, seed: 1, shuffle });
      const head = before.take(cut);
      const state = JSON.parse(JSON.stringify(before.state)) as typeof before.state;
      const after = createSampler({ rows: 7, seed: 1, shuffle, state });
      expect([...head, ...after.take(40 - cut)]).toEqual(whole);
    }
  });

  it.each([
    ['data.empty', { rows: 0 }],
    ['data.seed', { rows: 3, seed: 0.5 }],
    ['data.samplerState', { rows: 3, state: { epoch: 0, position: 4 } }],
    ['data.samplerState', { rows: 3, state: { epoch: -1, position: 0 } }],
    ['data.samplerState', { rows: 3, state: { epoch: 0, position: NaN } }],
  ])('%s: %j', async (code, options) => {
    expect((await complaint(() => createSampler(options))).code).toBe(code);
  });
});
