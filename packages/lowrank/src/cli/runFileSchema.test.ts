import { expect, test } from 'vitest';
import { runFileSchema } from './runFileSchema.js';

test('every setting of a run, by the name that files give it', () => {
  const { properties, additionalProperties } = runFileSchema() as {
    properties: Record<string, Record<string, unknown>>;
    additionalProperties: boolean;
  };
  expect(additionalProperties).toBe(false);
  expect(properties['learning_rate']).toMatchObject({ type: 'number', minimum: 0, default: 2e-4 });
  expect(properties['method']?.['enum']).toContain('lora');
  expect(properties['eval_data']).toMatchObject({ type: 'string' });
  expect(properties['save_every']).toMatchObject({ type: 'integer', minimum: 1 });
  expect(properties['samples']).toMatchObject({ default: 3 });
  expect(properties['shuffle']).toMatchObject({ type: 'boolean', default: true });
  expect(Object.keys(properties)).toEqual(Object.keys(properties).map((name) => name.toLowerCase()));
  for (const absent of ['json', 'help', 'overwrite', 'resume']) expect(properties).not.toHaveProperty(absent);
});
