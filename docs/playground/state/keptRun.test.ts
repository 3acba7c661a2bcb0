import type { RunState } from 'lowrank';
import { expect, test } from 'vitest';
import { keptState, runState, upTo } from './keptRun';

test('a state is kept with numbers of its own, and goes on from them', async () => {
  const values = new Float32Array([1, 2]);
  const tensors: RunState['tensors'] = new Map([
    ['parameter.a', { dtype: 'f32', shape: [2], read: () => Promise.resolve(values) }],
  ]);
  const kept = await keptState({ step: 3, tensors } as unknown as RunState);
  values[0] = 9;
  const again = runState(structuredClone(kept));
  expect(again.step).toBe(3);
  expect(await again.tensors.get('parameter.a')?.read()).toEqual(new Float32Array([1, 2]));
});

test('what was seen after a step is forgotten', () => {
  expect(upTo(2, [{ step: 1 }, { step: 2 }, { step: 3 }, {}])).toEqual([{ step: 1 }, { step: 2 }]);
});
