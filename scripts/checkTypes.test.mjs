import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkTypes } from './checkTypes.mjs';
import { root } from './lib/paths.mjs';

const workspace = mkdtempSync(join(tmpdir(), 'types-'));
const sum = 'export const first = (list: number[]): number => list[0] + list[1];\n';
const files = {
  'tsconfig.json': JSON.stringify({
    compilerOptions: { strict: true, noUncheckedIndexedAccess: true, noEmit: true, types: [], skipLibCheck: true },
    include: ['packages/*/src'],
  }),
  'packages/a/src/plain.ts': sum,
  'packages/a/src/numeric/tsconfig.json': JSON.stringify({ extends: '../../../../tsconfig.numeric.json' }),
  'packages/a/src/numeric/sum.ts': sum,
  'packages/a/src/numeric/wrong.ts': "export const wrong: number = 'text';\n",
};

beforeAll(() => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(workspace, name)), { recursive: true });
    writeFileSync(join(workspace, name), text);
  }
  symlinkSync(join(root, 'node_modules'), join(workspace, 'node_modules'));
});
afterAll(() => rmSync(workspace, { recursive: true }));

test('numeric folders may index without a check, and nobody else', () => {
  const found = checkTypes(workspace).diagnostics.map(
    ({ file, code }) => `${file?.fileName.split('/src/')[1]} ${code}`,
  );
  expect([...new Set(found)]).toEqual(['numeric/wrong.ts 2322', 'plain.ts 2532']);
});

test('what is built with unchecked index access has the types that are checked', () => {
  const { checked, unchecked, isNumeric } = checkTypes(root, { diagnose: false });
  /** @param {ts.Program} program @param {ts.SourceFile} file */
  const declarations = (program, file) => {
    let text = '';
    program.emit(program.getSourceFile(file.fileName), (_, output) => (text = output), undefined, true);
    return text;
  };
  const published = checked
    .getSourceFiles()
    .filter((file) => /\/packages\/[a-z]+\/src\/(?!.*(\.test\.ts|testing))/.test(file.fileName) && !isNumeric(file));
  expect(published.length).toBeGreaterThan(300);
  expect(
    published.filter((file) => declarations(checked, file) !== declarations(unchecked, file)).map((f) => f.fileName),
  ).toEqual([]);
});
