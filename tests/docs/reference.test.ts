import { expect, test } from 'vitest';
import { commentsOf, readExports } from '../../docs/generators/reference.mjs';

test('every export of every package has a docstring', async () => {
  const modules = await readExports();
  const all = modules.flatMap(({ entry, exports }) => exports.map((each) => ({ ...each, entry: entry.name })));
  expect(all.length).toBeGreaterThan(1100);
  const mute = all.filter(({ reflection }) => commentsOf(reflection).length === 0);
  expect(mute.map(({ entry, name }) => `${entry}: ${name}`)).toEqual([]);
});
