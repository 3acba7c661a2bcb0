import { expect, test } from 'vitest';

test('the network of the page learns the circle', async () => {
  const { accuracy } = await import('./ownNetwork.js');
  expect(accuracy).toBeGreaterThan(0.95);
});
