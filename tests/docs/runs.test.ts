import ts from 'typescript';
import { expect, test } from 'vitest';
import { blocks, pageBlocks, runBlocks, wantsGpu, wantsRedis } from './blocks';

runBlocks(
  blocks.filter((block) => !wantsGpu(block) && !wantsRedis(block)),
  'cpu',
  // No test downloads a model of that size; tests/runtimes.test.ts runs this example in every runtime.
  {
    'HuggingFaceTB/SmolLM2-135M-Instruct': () => './llama',
    'npm:lowrank': () => 'lowrank',
    'steps: 200': () => 'steps: 20',
    'steps: 300': () => 'steps: 2',
    'seeds: 3': () => 'seeds: 1, tuneRows: 5',
    "'test.jsonl'": () => "'rows.jsonl'",
  },
);

test('there are blocks to run', () => {
  expect(blocks.length).toBeGreaterThanOrEqual(30);
});

test('the snippet of tensors alone fits its line', async () => {
  const { fitted } = await import('../../docs/snippets/fitLine');
  expect(fitted[0]).toBeCloseTo(2, 3);
  expect(fitted[1]).toBeCloseTo(-1, 3);
});

test.each(pageBlocks)('$path, block $at, for a page: it compiles, and what it imports exists', async ({ code }) => {
  const { outputText, diagnostics } = ts.transpileModule(code, {
    reportDiagnostics: true,
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, allowJs: true },
  });
  expect(diagnostics).toEqual([]);
  expect(outputText).not.toBe('');
  const entries: Readonly<Record<string, object>> = {
    lowrank: await import('lowrank'),
    'lowrank/worker': await import('lowrank/worker'),
  };
  const imports = [...code.matchAll(/import \{ (.*) \} from '(lowrank(?:\/worker)?)';/g)];
  expect(imports).not.toEqual([]);
  for (const [, names = '', entry = ''] of imports)
    expect(names.split(', ').filter((name) => !(name in (entries[entry] ?? {})))).toEqual([]);
});
