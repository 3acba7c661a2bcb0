import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** Every exported name of an entry, types too. */
function namesOf(file: string): string[] {
  const source = readFileSync(new URL(file, import.meta.url), 'utf8');
  return [...source.matchAll(/export (?:type )?\{([^}]*)\}/g)]
    .flatMap(([, names = '']) => names.split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .sort();
}

const entries = { user: namesOf('../index.ts'), op: namesOf('op.ts'), backend: namesOf('backend.ts') };

test('each name stands in one entry, and no entry grows unnoticed', () => {
  const all = Object.values(entries).flat();
  expect(all.filter((name, at) => all.indexOf(name) !== at)).toEqual([]);
  expect(Object.fromEntries(Object.entries(entries).map(([entry, names]) => [entry, names.length]))).toEqual({
    user: 87,
    op: 101,
    backend: 38,
  });
});

test('what a user of tensors gets', () => {
  expect(entries.user.join(' ')).toMatchInlineSnapshot(
    '"AttentionOptions Backend CompileOptions CompiledFunction CrossEntropyOptions DType HostArray ' +
      'HostTensor Inputs LossTerms RandomState Results Rng Scalar Shape SoftmaxOptions Tensor TensorLike ' +
      'TensorOptions abs add argmax assign attention broadcastTo cast checkpoint compile concat cos crossEntropy div ' +
      'dropout embedding equal exp floor fromNumbers full gelu geluTanh grad layerNorm less lessEqual linear ' +
      'linearCrossEntropy log logSoftmax matmul max maximum mean minimum mul neg pad permute persistent pow ' +
      'randomUniform readTensor relu reshape rmsNorm rope rsqrt scalar setDefaultBackend sigmoid sign silu sin ' +
      'slice softmax sqrt square stopGradient sub sum swiglu tanh tensor toFloat32 transpose where zeros"',
  );
});
