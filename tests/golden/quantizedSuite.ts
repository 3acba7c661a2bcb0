import { readFile } from 'node:fs/promises';
import { QuantizedLinear } from '@lowrank/quant';
import type { QuantizationSettings } from '@lowrank/quant';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Curve, GoldenName } from './goldenRun.js';
import { expectTrajectory, goldenEvaluation, near, openGolden } from './goldenRun.js';

/** The kinds of codes that PyTorch trained over. */
export const settings: Record<string, QuantizationSettings> = {
  nf4: { type: 'nf4' },
  nf4Double: { type: 'nf4', doubleQuantization: true },
  fp4: { type: 'fp4' },
};

/** QLoRA against PyTorch over the weights that bitsandbytes dequantized (parity/quantTrain.py). */
export function quantizedSuite(
  device: string,
  openBackend: () => Promise<Backend>,
  cases: readonly (readonly [name: GoldenName, kind: keyof typeof settings, steps: number])[],
): void {
  let backend: Backend;
  beforeAll(async () => {
    backend = await openBackend();
  });
  afterAll(() => backend.dispose());

  test.each(cases)(
    '%s in %s on ' + device + ': loss, %i steps, and after all 30 the loss',
    async (name, kind, steps) => {
      const expected = await curveOf(name, kind);
      const golden = await openGolden(name, { quantization: settings[kind], backend: () => Promise.resolve(backend) });
      const quantized = [...golden.model.namedModules()].filter(([, module]) => module instanceof QuantizedLinear);
      expect(quantized).toHaveLength(7 * golden.model.shape.layers);
      near((await goldenEvaluation(golden, backend)).loss, expected.base_eval_loss);
      // Losses stay within 1e-4 all the way; the doubly quantized run amplifies the last bits of a gradient more than
      // the others do.
      await expectTrajectory(golden, backend, { expected, steps, normTolerance: kind === 'nf4Double' ? 1e-3 : 1e-4 });
      if (steps === expected.losses.length) {
        const { loss } = await goldenEvaluation(golden, backend);
        near(loss, expected.adapter_eval_loss);
        expect(Math.abs(loss - golden.golden.adapter_eval_loss)).toBeLessThan(0.05);
      }
      golden.model.dispose();
    },
    1_200_000,
  );
}

/** What a run of PyTorch's over a model's codes gave. */
export async function curveOf(name: GoldenName, kind: string): Promise<Curve> {
  const file = new URL('../../parity/golden/quantTrain.json', import.meta.url);
  const runs = JSON.parse(await readFile(file, 'utf8')) as Record<GoldenName, Record<string, Curve>>;
  const curve = runs[name][kind];
  if (curve === undefined) throw new TypeError(`no run of ${name} in ${kind}`);
  return curve;
}
