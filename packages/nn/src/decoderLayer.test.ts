import { tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { Attention } from './attention.js';
import { PreNormLayer } from './decoderLayer.js';
import { GatedMlp } from './gatedMlp.js';
import { Linear } from './linear.js';
import { RmsNorm } from './rmsNorm.js';

test.each([1, 0.5])(
  'what attention and block give is added to what came in, times %d; norms come before them',
  async (residualScale) => {
    const zero = (): Linear => new Linear(tensor([0, 0, 0, 0], [2, 2]));
    const one = (): Linear => new Linear(tensor([1, 0, 0, 1], [2, 2]));
    const norm = (): RmsNorm => new RmsNorm(tensor([1, 1]), 0);
    const layer = new PreNormLayer({
      inputNorm: norm(),
      attention: new Attention({ q: zero(), k: zero(), v: one(), o: one() }, { heads: 1, keyHeads: 1, headSize: 2 }),
      outputNorm: norm(),
      mlp: new GatedMlp({ gate: zero(), up: one(), down: one() }),
      residualScale,
    });
    expect([...layer.children().keys()]).toEqual(['input_layernorm', 'self_attn', 'post_attention_layernorm', 'mlp']);
    // One token sees itself: x + norm(x); the block's gate is zero.
    const [y = []] = await evaluateReference([
      layer.forward(tensor([3, 4], [1, 1, 2]), { positions: tensor(Int32Array.of(0), [1, 1]) }),
    ]);
    const size = Math.sqrt(12.5) / residualScale;
    [3 + 3 / size, 4 + 4 / size].forEach((want, at) => expect(Math.abs((y[at] ?? NaN) - want)).toBeLessThan(1e-6));
  },
);
