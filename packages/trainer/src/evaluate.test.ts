import { expect, test } from 'vitest';
import { evaluate } from './evaluate.js';
import { labelTokens, makeRows, pack, padRows, referenceBackend, tinyModel } from './testing.js';

test('the loss is a mean over label tokens, whatever the layout', async () => {
  const rows = makeRows(9);
  const { backend, loss } = tinyModel(referenceBackend());
  const single = await Promise.all(rows.map((row) => evaluate({ backend, loss, batches: [pack([row])] })));
  const tokens = rows.reduce((total, row) => total + labelTokens(row), 0);
  const mean = single.reduce((total, part) => total + part.loss * part.tokens, 0) / tokens;
  for (const batches of [[pack(rows)], [padRows(rows.slice(0, 4)), pack(rows.slice(4, 5)), padRows(rows.slice(5))]]) {
    const result = await evaluate({ backend, loss, batches });
    expect(result).toMatchObject({ tokens, rows: 9 });
    expect(result.loss).toBeCloseTo(mean, 6);
  }
  expect(await evaluate({ backend, loss, batches: [pack(rows)], execution: 'unplanned' })).toMatchObject({ tokens });
});

test('an aborted signal leaves the rest out', async () => {
  const { backend, loss } = tinyModel(referenceBackend());
  const controller = new AbortController();
  function* batches(): Generator<ReturnType<typeof pack>> {
    for (const [at, row] of makeRows(5).entries()) {
      if (at === 2) controller.abort();
      yield pack([row]);
    }
  }
  expect(await evaluate({ backend, loss, batches: batches(), signal: controller.signal })).toMatchObject({ rows: 2 });
});
